"""Process one record: decode or generate its scenes, filter, crop, resize, encode. The same in every process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iodine_kit.config import Config
from iodine_kit.datasets import DATASETS, generate_scene, repair_scene
from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.formats import FORMATS, Columns, Sample, ShardedConfig, columns_of
from iodine_kit.layouts import LAYOUTS, Expected, Item
from iodine_kit.preprocessing import PreprocessConfig, is_kept, preprocess
from iodine_kit.records import IGNORED, Scene


@dataclass(frozen=True)
class RecordResult:
    """The scenes of one record.

    Attributes:
        record: number of the record.
        split: split in which it was published or for which it was generated; can be empty.
        samples: the scenes that passed the filter, encoded.
        dropped: number of scenes that the filter removed.
        entities: largest mask index of the scenes in ``samples``, plus 1.
        columns: dtypes and shapes of the scenes in ``samples``, which are the same for all.
        unmasked: number of scenes in ``samples`` without a mask.
        ignored: whether a scene in ``samples`` marks pixels to ignore.
        remarks: what users should know about the record, each once.
        place: where the record is, for messages.
        bad: why the record cannot be used; empty if it can.
    """

    record: int
    split: str
    samples: tuple[Sample, ...] = ()
    dropped: int = 0
    entities: int = 0
    columns: Columns | None = None
    unmasked: int = 0
    ignored: bool = False
    remarks: tuple[str, ...] = ()
    place: str = ""
    bad: str = ""


@dataclass(frozen=True)
class RecordProcessor:
    """Everything that determines the scenes of a record. Plug-ins are given by name, so that it can be pickled.

    Attributes:
        dataset, format: plug-in names.
        layout: plug-in name; empty for generated scenes.
        expected: the data set that the source must contain.
        seed: of the generator.
        skip_bad: return a damaged record as ``bad`` instead of raising an error.
    """

    dataset: str
    dataset_config: Config
    layout: str
    layout_config: Config
    expected: Expected
    preprocess: PreprocessConfig
    format: str
    format_config: ShardedConfig
    seed: int
    skip_bad: bool

    def process(self, record: int, item: Item) -> RecordResult:
        """Process one record.

        Raises:
            IodineKitError: if the record cannot be used and ``skip_bad`` is not set.
        """
        try:
            return self._encode(record, item, self._scenes(record, item))
        except (CorruptDataError, SchemaError) as error:
            if not self.skip_bad:
                raise
            return RecordResult(record, item.split, bad=str(error))

    def _scenes(self, record: int, item: Item) -> Sequence[Scene]:
        if self.layout:
            key = item.key or f"{self.dataset.rpartition('.')[2]}-{record:08d}"
            scenes = LAYOUTS.load(self.layout).scenes(item, key, self.expected, self.layout_config)
            return [repair_scene(DATASETS.load(self.dataset), self.dataset_config, scene) for scene in scenes]
        return [generate_scene(DATASETS.load(self.dataset), self.dataset_config, self.seed, item.split, item.payload)]

    def _check_countable(self, scene: Scene, item: Item) -> None:
        """Refuse to filter scenes by a number of objects that nothing states: every scene would be removed."""
        names = [name for name in ("min_objects", "max_objects") if getattr(self.preprocess, name) is not None]
        by_factors = "visibility" in scene.factors and self.preprocess.count != "pixels"
        if names and not scene.has_mask and not by_factors:
            raise SchemaError(
                f"{item.place}: preprocess.{names[0]} counts objects, but this scene has no mask with objects to "
                "count: omit the filter"
            )

    def _encode(self, record: int, item: Item, scenes: Sequence[Scene]) -> RecordResult:
        kept = []
        for scene in scenes:
            self._check_countable(scene, item)
            cropped = preprocess(scene, self.preprocess)
            if is_kept(scene, cropped, self.expected.info.background, self.preprocess):
                kept.append(cropped)
        if not kept:
            return RecordResult(record, item.split, dropped=len(scenes))
        columns = columns_of(kept[0])
        for scene in kept[1:]:
            require_same_columns(columns, columns_of(scene), item.place)
        plugin = FORMATS.load(self.format)
        samples = tuple(Sample(scene.key, plugin.encode(scene, self.format_config)) for scene in kept)
        entities = max(map(_largest_index, kept)) + 1
        if 0 < self.expected.info.entities < entities:
            raise SchemaError(
                f"{item.place}: its mask contains index {entities - 1}, but the data set declares at most "
                f"{self.expected.info.entities} entities, background included"
            )
        return RecordResult(
            record, item.split, samples, len(scenes) - len(kept), entities, columns,
            unmasked=sum(not scene.has_mask for scene in kept), ignored=any(scene.ignored for scene in kept),
            remarks=tuple(dict.fromkeys(text for scene in kept for text in scene.remarks)), place=item.place,
        )  # fmt: skip


def _largest_index(scene: Scene) -> int:
    """The largest index of an entity in a mask."""
    return int(scene.mask.max(initial=0, where=scene.mask != IGNORED) if scene.ignored else scene.mask.max())


def require_same_columns(first: Columns, other: Columns, place: str) -> None:
    """Raise :class:`SchemaError` if a scene has other dtypes or shapes than the first scene of the data set."""
    if first == other:
        return
    name = next(name for name in {**first, **other} if first.get(name) != other.get(name))
    expected, given = (_column_text(columns, name) for columns in (first, other))
    advice = "; resize all scenes with --set preprocess.size=N" if name in ("image", "mask") else ""
    raise SchemaError(f"{place}: its {name} is {given}, but that of the first scene is {expected}{advice}")


def _column_text(columns: Columns, name: str) -> str:
    dtype, shape = columns.get(name, ("", ()))
    return f"{np.dtype(dtype)} {list(shape)}" if dtype else "missing"
