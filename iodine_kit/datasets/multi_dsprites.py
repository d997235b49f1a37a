"""Multi-dSprites (multi_object_datasets, Kabra et al. 2019): overlapping sprites on a uniform background, 64×64 pixels.

The generator follows what is known about the published files: the number of objects per variant, the distribution of
colours, and that later sprites occlude earlier ones. Unknown are the exact rule for hidden objects (here, at least one
pixel must be visible) and whether orientations were continuous (as here) or the forty of dSprites.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, field_validator, model_validator

from iodine_kit import config as configuration
from iodine_kit.datasets._dsprites import NAMES, ORIGINAL, SIZE
from iodine_kit.datasets._sprite_distribution import FACTORS, SpriteDistribution, between, sprite_distribution
from iodine_kit.errors import ConfigError, did_you_mean
from iodine_kit.records import Bytes, DatasetInfo, Floats, Scene
from iodine_kit.tfrecord import FieldSpec

VERSION = 1
SUMMARY = "overlapping sprites (square, ellipse, heart) on a uniform background, 64×64; published files or generator"
CITATION = (
    "Kabra et al., Multi-Object Datasets, github.com/google-deepmind/multi_object_datasets, 2019; "
    "Matthey et al., dSprites, github.com/google-deepmind/dsprites-dataset, 2017"
)
LICENCE = "Apache-2.0"
PREPROCESS: dict[str, object] = {}
PUBLISHED_KEYS = ("variant",)

Variant = Literal["binarized", "colored_on_grayscale", "colored_on_colored"]

_URL = "https://storage.googleapis.com/multi-object-datasets/multi_dsprites/multi_dsprites_{}.tfrecords"
_COUNTS: Mapping[Variant, tuple[int, int]] = {
    "binarized": (2, 3),
    "colored_on_grayscale": (2, 5),
    "colored_on_colored": (1, 4),
}
"""Smallest and largest number of objects of a published scene; a record has rows for the largest and the background."""

_ATTEMPTS = 100
"""Positions tried for one object before the scene is restarted, and scenes tried before an error is raised."""


def _fields(entities: int, channels: int) -> dict[str, FieldSpec]:
    factors = ("x", "y", "shape", "visibility", "orientation", "scale")
    return {
        "image": FieldSpec(np.uint8, (SIZE, SIZE, channels)),
        "mask": FieldSpec(np.uint8, (SIZE, SIZE, entities, 1)),
        "color": FieldSpec(np.float32, (entities, channels)),
    } | {name: FieldSpec(np.float32, (entities,)) for name in factors}


SCHEMAS = {
    f"multi-dsprites {variant}": _fields(most + 1, 1 if variant == "binarized" else 3)
    for variant, (_, most) in _COUNTS.items()
}
"""The features of each published file. Unlike in the other data sets, entities are the last axis of masks."""


def _ascending(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    if low > high:
        raise ValueError(f"the lower end {low:g} is greater than the upper end {high:g}")
    return interval


Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[tuple[Share, Share], AfterValidator(_ascending)]
Hue = Annotated[float, Field(ge=0, le=2)]
Size = Annotated[float, Field(ge=0.1, le=2)]


class Config(configuration.Config):
    """Selects a published file, or describes generated scenes; the defaults give the distribution of published scenes.

    Attributes:
        variant: ``binarized`` (2–3 white sprites on black), ``colored_on_grayscale`` (2–5 coloured sprites on grey) or
            ``colored_on_colored`` (1–4 sprites; sprites and background have any colour).
        min_objects: smallest number of objects; every number in the range is equally likely. Defaults to the published
            one.
        max_objects: largest number of objects. Defaults to the published one; more objects need larger factor arrays.
        shapes: shapes to draw from: ``square``, ``ellipse`` and ``heart`` (the default), ``triangle``, ``cross``,
            ``ring``.
        hue: interval in turns; it may exceed 1, so that (0.9, 1.1) is red. Published: (0, 1).
        saturation: interval within 0 to 1. Published: (0.5, 1). With any of hue, saturation and value, the sprites of
            ``colored_on_colored`` get colours by all three instead of uniform RGB.
        value: interval within 0 to 1. Published: (0.5, 1). With any of hue, saturation and value, the sprites of
            ``colored_on_colored`` get colours by all three instead of uniform RGB.
        scale: interval of sizes within 0.1 to 2. Published: (0.5, 1).
        min_visible: smallest number of visible pixels of every object. The published rule is unknown; 1 is the weakest
            rule under which every object that is called visible can be seen.
        max_occlusion: largest share of an object's pixels within the image that other objects may hide.
        sprites: path of the npz file of dSprites, to use its sprites instead of formulas; scales, orientations and
            positions are then those of that file.
    """

    variant: Variant = "colored_on_grayscale"
    min_objects: Annotated[int, Field(ge=1, le=64)] | None = None
    max_objects: Annotated[int, Field(ge=1, le=64)] | None = None
    shapes: tuple[str, ...] = ()
    hue: Annotated[tuple[Hue, Hue], AfterValidator(_ascending)] | None = None
    saturation: Shares | None = None
    value: Shares | None = None
    scale: Annotated[tuple[Size, Size], AfterValidator(_ascending)] | None = None
    min_visible: Annotated[int, Field(ge=1, le=SIZE**2)] = 1
    max_occlusion: Share = 1.0
    sprites: configuration.HomePath | None = None

    @field_validator("shapes")
    @classmethod
    def _known(cls, shapes: tuple[str, ...]) -> tuple[str, ...]:
        for shape in shapes:
            if shape not in NAMES[1:]:
                raise ValueError(f"no shape is called '{shape}'{did_you_mean(shape, NAMES[1:])}")
        if len(set(shapes)) < len(shapes):
            raise ValueError("give every shape once: all are equally likely")
        return shapes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = _counts(self)
        if low > high:
            raise ValueError(f"min_objects {low} is greater than max_objects {high}: set both")
        if self.hue is not None and self.hue[1] - self.hue[0] > 1:
            raise ValueError("hue covers more than one turn")
        if self.variant == "binarized" and _by_hsv(self):
            raise ValueError("binarized sprites are white: hue, saturation and value need another variant")
        if self.sprites is not None and not set(self.shapes) <= set(ORIGINAL):
            raise ValueError(f"the file in sprites has only {', '.join(ORIGINAL)}: omit sprites or shapes")
        return self


def info(config: Config) -> DatasetInfo:
    """Facts that hold for every scene."""
    shapes = NAMES[: 1 + max(NAMES.index(shape) for shape in (*ORIGINAL, *config.shapes))]
    return DatasetInfo("multi-dsprites", SIZE, SIZE, _entities(config), (0,), {"shape": shapes}, CITATION, LICENCE)


def fields(config: Config) -> dict[str, FieldSpec]:
    """The features of the published file's records, as on disk."""
    return SCHEMAS[f"multi-dsprites {config.variant}"]


def splits(config: Config) -> dict[str, int]:
    """The usual splits: the first scenes of the published file."""
    return {"train": 60_000, "val": 320, "test": 320}


def urls(config: Config) -> tuple[str, ...]:
    """Addresses of the published file."""
    return (_URL.format(config.variant),)


def generate(config: Config, rng: np.random.Generator, key: str) -> Scene:
    """Sample one scene: number of objects, background, colours, then sprites until enough of each is visible.

    Factors have the published names and rows. The rows of the background and of unused entities are 0, except for the
    visibility of the background.

    Raises:
        ConfigError: the objects do not fit with the occlusion that the configuration allows.
        SourceError, StorageError, CorruptDataError, SchemaError: the file in ``sprites`` cannot be used.
    """
    low, high = _counts(config)
    count = int(rng.integers(low, high + 1))
    background, colours = _paint(config, rng, count)
    distribution = sprite_distribution(config.sprites, config.shapes, config.scale or (0.5, 1.0))
    sprites, mask = _compose(config, distribution, rng, count)
    palette = np.rint(255 * np.concatenate([background[None], colours])).astype(np.uint8)
    sprites["color"] = colours[:, :1] if config.variant == "binarized" else colours
    sprites["visibility"] = np.ones(count, np.float32)
    entities = _entities(config)
    factors = {name: _rows(values, entities) for name, values in sprites.items()}
    factors["visibility"][0] = 1
    return Scene(key, palette.take(mask, axis=0), mask, factors)


def _compose(
    config: Config, distribution: SpriteDistribution, rng: np.random.Generator, count: int
) -> tuple[dict[str, Floats], Bytes]:
    for _ in range(_ATTEMPTS):
        sprites = {name: distribution.sample(rng, name, count) for name in FACTORS}
        mask = _place(config, distribution, rng, sprites)
        if mask is not None:
            return sprites, mask
    raise ConfigError(
        f"{count} objects did not fit in any of {_ATTEMPTS} scenes: lower dataset.max_objects, dataset.scale or "
        "dataset.min_visible, or raise dataset.max_occlusion"
    )


def _place(
    config: Config, distribution: SpriteDistribution, rng: np.random.Generator, sprites: dict[str, Floats]
) -> Bytes | None:
    """Place the sprites in a mask, later ones in front; a sprite that hides too much gets a new ``x`` and ``y``.

    Only positions are resampled, so that all other factors keep their distribution.

    Returns:
        the mask; ``None`` if a sprite does not fit anywhere.
    """
    mask = np.zeros((SIZE, SIZE), np.uint8)
    entities = 1 + len(sprites["x"])
    visible, needed = np.zeros(entities, np.int64), np.zeros(entities, np.int64)
    for index in range(1, entities):
        for _ in range(_ATTEMPTS):
            rows, columns, inside = distribution.outline(*(sprites[name][index - 1].item() for name in FACTORS))
            covered = mask[rows, columns][inside]
            left = visible - np.bincount(covered, minlength=entities)
            left[0], left[index] = 0, covered.size
            needed[index] = max(config.min_visible, math.ceil((1 - config.max_occlusion) * covered.size))
            if (left >= needed).all():
                break
            for name in ("x", "y"):
                sprites[name][index - 1] = distribution.sample(rng, name, 1)[0]
        else:
            return None
        mask[rows, columns][inside] = index
        visible = left
    return mask


def _paint(config: Config, rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Sample the colours of the background ``float32[3]`` and the sprites ``float32[count, 3]``, RGB in 0…1."""
    if config.variant == "binarized":
        return np.zeros(3, np.float32), np.ones((count, 3), np.float32)
    if config.variant == "colored_on_grayscale":
        background = np.repeat(rng.random(1, np.float32), 3)
    else:
        background = rng.random(3, np.float32)
    if config.variant == "colored_on_colored" and not _by_hsv(config):
        return background, rng.random((count, 3), np.float32)
    hue, saturation, value = (
        between(rng, interval, count)
        for interval in (config.hue or (0, 1), config.saturation or (0.5, 1), config.value or (0.5, 1))
    )
    return background, _rgb(hue, saturation, value)


def _rgb(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    """Convert HSV (hue in turns, saturation and value in 0…1; ``float32[n]`` each) to RGB ``float32[n, 3]`` in 0…1."""
    sector = (np.array([5, 3, 1], np.float32) + 6 * hue[:, None]) % 6
    dip = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    colours: Floats = value[:, None] * (1 - saturation[:, None] * dip)
    return colours


def _rows(values: Floats, entities: int) -> Floats:
    """Copy ``[n, …]`` to rows 1…n of zeros ``[entities, …]``."""
    rows = np.zeros((entities, *values.shape[1:]), np.float32)
    rows[1 : 1 + len(values)] = values
    return rows


def _counts(config: Config) -> tuple[int, int]:
    low, high = _COUNTS[config.variant]
    return config.min_objects or low, config.max_objects or high


def _entities(config: Config) -> int:
    return 1 + max(_COUNTS[config.variant][1], _counts(config)[1])


def _by_hsv(config: Config) -> bool:
    return any(interval is not None for interval in (config.hue, config.saturation, config.value))
