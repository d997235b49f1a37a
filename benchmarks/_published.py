"""Files like the published ones: their features, sizes and compression, with scenes that take as many bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from types import ModuleType

import numpy as np

from iodine_kit.datasets import clevr, multi_dsprites, tetrominoes
from iodine_kit.layouts import Expected
from iodine_kit.records import Array, Scene
from iodine_kit.tfrecord import FieldSpec, serialize_example, write_records

_NOISE = 0.6
"""Grey levels of noise for which a drawn scene deflates to the 105 kB of a published CLEVR record."""


@dataclass(frozen=True)
class Published:
    """One of the published data sets.

    Attributes:
        name: the data set's.
        records: records of a file that is read in a second or so.
        distinct: records that differ; the file repeats them, farther apart than deflate looks back.
    """

    name: str
    plugin: ModuleType
    records: int
    distinct: int

    @property
    def fields(self) -> dict[str, FieldSpec]:
        """Features of its records."""
        return dict(self.plugin.fields(self.plugin.Config()))

    @property
    def expected(self) -> Expected:
        """What its layout has to know."""
        return Expected(self.name, self.plugin.info(self.plugin.Config()), self.fields, {})

    def write(self, path: Path, records: int) -> Path:
        """Write a file of so many records, GZIP as published."""
        distinct = [self._record(index) for index in range(min(records, self.distinct))]
        rounds = chain.from_iterable(repeat(distinct))
        write_records(path, (next(rounds) for _ in range(records)))
        return path

    def scenes(self, count: int) -> Iterator[Scene]:
        """So many scenes that differ."""
        for index in range(count):
            rng = np.random.default_rng([0, index])
            key = f"scene-{index:06d}"
            yield (
                clevr_scene(rng, key) if self.plugin is clevr else self.plugin.generate(self.plugin.Config(), rng, key)
            )

    def _record(self, index: int) -> bytes:
        rng = np.random.default_rng([0, index])
        scene = clevr_scene(rng, "") if self.plugin is clevr else self.plugin.generate(self.plugin.Config(), rng, "")
        return serialize_example(features(scene, self.fields))


ALL = (
    Published("clevr", clevr, records=60, distinct=60),
    Published("multi-dsprites", multi_dsprites, records=2000, distinct=2000),
    Published("tetrominoes", tetrominoes, records=4000, distinct=4000),
)


def features(scene: Scene, fields: dict[str, FieldSpec]) -> dict[str, Array]:
    """A scene as the features of its published record: masks of 0 and 255, and rows of zeros for absent entities."""
    shape = fields["mask"].shape
    last = shape[:2] == scene.mask.shape  # Multi-dSprites has entities behind the pixels
    entities = shape[2] if last else shape[0]
    masks = (scene.mask == np.arange(entities)[:, None, None]) * np.uint8(255)
    found: dict[str, Array] = {"image": scene.image, "mask": np.moveaxis(masks, 0, -1) if last else masks}
    for name in fields.keys() - found.keys():
        found[name] = np.zeros(fields[name].shape, fields[name].dtype)
        found[name][: len(scene.factors[name])] = scene.factors[name]
    return found


def clevr_scene(rng: np.random.Generator, key: str) -> Scene:
    """Shaded balls on a shaded table, 240×320, with a renderer's noise: no picture of CLEVR, but as many bytes."""
    y, x = np.mgrid[:240, :320].astype(np.float32)
    image = np.multiply.outer(105 + y / 7 + 8 * np.cos((x - 160) / 200), (1.0, 0.99, 0.97))
    mask = np.zeros((240, 320), np.uint8)
    for index in range(1, int(rng.integers(4, 12))):
        column, row, radius = rng.uniform((50, 70, 12), (270, 200, 30))
        inside = np.hypot(x - column, y - row) < radius
        light = 1 - 0.4 * np.hypot(x - column + radius / 2, y - row + radius / 2) / radius
        image[inside] = np.multiply.outer(light, rng.uniform(30, 255, 3))[inside]
        mask[inside] = index
    image += rng.normal(0, _NOISE, (240, 320, 1)) + rng.normal(0, _NOISE / 2, image.shape)
    factors = {name: _values(rng, spec) for name, spec in clevr.SCHEMAS["clevr"].items() if spec.shape[0] == 11}
    del factors["mask"]
    return Scene(key, image.clip(0, 255).astype(np.uint8), mask, factors)


def _values(rng: np.random.Generator, spec: FieldSpec) -> Array:
    if spec.dtype is np.uint8:
        return rng.integers(0, 3, spec.shape, np.uint8)
    return rng.normal(size=spec.shape).astype(np.float32)
