"""A prepared data set: its facts, typed, and its splits, opened for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from iodine_kit.errors import CountError, SchemaError, did_you_mean
from iodine_kit.formats import FORMATS, Reader
from iodine_kit.records import DatasetInfo, Scene, SceneBatch
from iodine_kit.store import Artifact, ArtifactFacts


class RecordCounts(ArtifactFacts):
    """What became of the records of a source: read, filtered out, beyond the last split, damaged."""

    read: int = 0
    filtered_scenes: int | None = None
    surplus_scenes: int = 0
    bad: int = 0


class Column(ArtifactFacts):
    """Type and shape of one factor of a scene."""

    dtype: str
    shape: tuple[int, ...]


class Remark(ArtifactFacts):
    """What users should know about some records: a text, the number of records, and the place of the first."""

    text: str
    count: int
    first: str


class DatasetFacts(ArtifactFacts):
    """Facts of a data set.

    Attributes:
        info: what is true of every scene.
        splits: number of scenes by split.
        format: plug-in that stored the scenes.
        factors: type and shape of the factors of a scene, by name.
        records: what became of the records of the source; ``bad``: which were damaged, and how.
        origin: where the scenes come from: generated, or published in a layout.
        expected: counts that the protocol publishes.
        unmasked: splits without masks; every mask there is 0 and means nothing.
        remarks: what users should know about the records.
    """

    info: DatasetInfo
    splits: dict[str, int]
    format: str
    factors: dict[str, Column] = {}
    records: RecordCounts = RecordCounts()
    bad: list[dict[str, Any]] = []
    origin: dict[str, Any] = {}
    expected: dict[str, int] = {}
    unmasked: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()


_NEVER_MASKED = "clevr-v1"
"""The layout that never has masks, though its scenes have entities."""


def dataset_info(dataset: Artifact) -> DatasetInfo:
    """Return what is true of every scene of a data set."""
    return DatasetFacts.of(dataset).info


def check_split(dataset: Artifact, split: str) -> int:
    """Return the number of scenes; raises :class:`CountError` if the data set has no such split."""
    splits = DatasetFacts.of(dataset).splits
    if split not in splits:
        raise CountError(f"{dataset.path} has no split '{split}'{did_you_mean(split, splits)}")
    return splits[split]


def open_split(dataset: Artifact, split: str) -> Reader:
    """Open a split of a data set for reading; raises :class:`CountError` if the data set has no such split.

    Its scenes and batches state whether they have masks.
    """
    check_split(dataset, split)
    reader = FORMATS.load(DatasetFacts.of(dataset).format).open_split(dataset.path, split)
    return reader if has_masks(dataset, split) else _WithoutMasks(reader)


def has_masks(dataset: Artifact, split: str) -> bool:
    """Whether the scenes of a split have masks.

    Older releases did not record it. Their data sets have no masks if no scene has an entity, or if their scenes have
    factors but were read from a source without masks: the original CLEVR, or arrays of images alone.
    """
    facts = DatasetFacts.of(dataset)
    recorded = split not in facts.unmasked and facts.info.entities != 1
    images_alone = dataset.config.get("layout", {}).get("masks") is False
    return recorded and facts.origin.get("layout") != _NEVER_MASKED and not images_alone


def lack_of_masks(dataset: Artifact, split: str) -> str:
    """Why the scenes of a split cannot be compared with true masks, as a clause; "" if they have masks."""
    if has_masks(dataset, split):
        return ""
    facts = DatasetFacts.of(dataset)
    unrecorded = split not in facts.unmasked and facts.info.entities == 1
    return f"split '{split}' of {dataset.path} has no masks{' that show an object' if unrecorded else ''}"


def require_masks(dataset: Artifact, split: str, purpose: str, remedy: str) -> None:
    """Raise :class:`SchemaError` unless the scenes of a split have masks.

    Args:
        purpose: what needs them, for the message: ``"probe matches slots with objects by true masks"``.
        remedy: what to do, for the message.
    """
    lacking = lack_of_masks(dataset, split)
    if lacking:
        raise SchemaError(f"{purpose}, but {lacking}: {remedy}")


class _WithoutMasks:
    """A reader whose scenes and batches state that they have no masks; see :class:`iodine_kit.formats.Reader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __len__(self) -> int:
        return len(self._reader)

    def keys(self) -> list[str]:
        return self._reader.keys()

    def batch(self, indices: Sequence[int] | NDArray[Any]) -> SceneBatch:
        return replace(self._reader.batch(indices), has_masks=False)

    def scene(self, index: int) -> Scene:
        return replace(self._reader.scene(index), has_mask=False)

    def close(self) -> None:
        self._reader.close()
