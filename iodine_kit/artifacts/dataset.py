"""A prepared data set: its facts, typed, and its splits, opened for reading."""

from __future__ import annotations

from typing import Any

from iodine_kit.errors import CountError, did_you_mean
from iodine_kit.formats import FORMATS, Reader
from iodine_kit.records import DatasetInfo
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

    def has_masks(self, split: str) -> bool:
        """Whether the scenes of a split have masks. Data sets of older releases have none if no scene has an entity."""
        return split not in self.unmasked and self.info.entities != 1


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
    """Open a split of a data set for reading; raises :class:`CountError` if the data set has no such split."""
    check_split(dataset, split)
    return FORMATS.load(DatasetFacts.of(dataset).format).open_split(dataset.path, split)
