"""The work on one record: decode or generate it, filter, crop, resize, encode. The same in every process."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iodine_kit.config import Config
from iodine_kit.datasets import DATASETS, repaired
from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.formats import FORMATS, Columns, Sample, ShardedConfig, columns_of
from iodine_kit.layouts import LAYOUTS, Expected, Item
from iodine_kit.preprocessing import PreprocessConfig, is_kept, preprocess
from iodine_kit.records import Scene


@dataclass(frozen=True)
class Outcome:
    """What came of one record.

    Attributes:
        record: its number.
        split: the split in which it was published or for which it was generated; may be empty.
        samples: scenes that are kept, encoded.
        dropped: scenes that the filter left out.
        entities: largest mask index of the kept scenes, plus 1.
        columns: of the kept scenes, which all have the same.
        bad: why the record cannot be used, where that is allowed.
    """

    record: int
    split: str
    samples: tuple[Sample, ...] = ()
    dropped: int = 0
    entities: int = 0
    columns: Columns | None = None
    bad: str = ""


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes the work on a record; plug-ins by name, so that it can be sent to other processes.

    Attributes:
        layout: plug-in name; empty for generated scenes.
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

    def carry_out(self, record: int, item: Item) -> Outcome:
        """Do the work on one record.

        Raises:
            IodineKitError: if it cannot be used, and bad ones are not skipped.
        """
        try:
            scenes = self._scenes(record, item)
            return self._encoded(record, item.split, scenes)
        except (CorruptDataError, SchemaError) as error:
            if not self.skip_bad:
                raise
            return Outcome(record, item.split, bad=str(error))

    def _scenes(self, record: int, item: Item) -> Sequence[Scene]:
        if self.layout:
            key = f"{self.dataset.rpartition('.')[2]}-{record:08d}"
            scenes = LAYOUTS.load(self.layout).scenes(item, key, self.expected, self.layout_config)
            return [repaired(DATASETS.load(self.dataset), self.dataset_config, scene) for scene in scenes]
        # Every scene has its own stream of random numbers: the same whatever else is generated.
        spawn_key = (zlib.crc32(item.split.encode()), item.payload)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=spawn_key))
        generate = DATASETS.load(self.dataset).generate
        assert generate is not None  # the plan has seen to that
        key = f"{item.split}-{item.payload:08d}"
        try:
            return [generate(self.dataset_config, rng, key)]
        except Exception as error:
            error.add_note(f"while generating scene {key}")
            raise

    def _encoded(self, record: int, split: str, scenes: Sequence[Scene]) -> Outcome:
        kept = []
        for scene in scenes:
            cropped = preprocess(scene, self.preprocess)
            if is_kept(scene, cropped, self.expected.info.background, self.preprocess):
                kept.append(cropped)
        if not kept:
            return Outcome(record, split, dropped=len(scenes))
        columns = columns_of(kept[0])
        for scene in kept[1:]:
            require_same(columns, columns_of(scene), scene.key)
        plugin = FORMATS.load(self.format)
        samples = tuple(Sample(scene.key, plugin.encode(scene, self.format_config)) for scene in kept)
        entities = max(int(scene.mask.max()) for scene in kept) + 1
        if 0 < self.expected.info.entities < entities:
            raise SchemaError(
                f"{kept[0].key}: its mask has index {entities - 1}, and the data set says that there are "
                f"{self.expected.info.entities} entities at most, background included"
            )
        return Outcome(record, split, samples, len(scenes) - len(kept), entities, columns)


def require_same(first: Columns, other: Columns, key: str) -> None:
    """Raise :class:`SchemaError` if a scene has other columns than the first one of the data set."""
    if first == other:
        return
    name = next(name for name in {**first, **other} if first.get(name) != other.get(name))
    told = [f"{dtype.lstrip('|<')}{list(shape)}" if dtype else "nothing" for dtype, shape in
            (columns.get(name, ("", ())) for columns in (first, other))]  # fmt: skip
    advice = "; bring all to one size with --set preprocess.size=N" if name in ("image", "mask") else ""
    raise SchemaError(f"{key}: its {name} is {told[1]}, and that of the first scene is {told[0]}{advice}")
