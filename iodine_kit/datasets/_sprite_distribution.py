"""The distribution of a sprite's factors: intervals for sprites by formula, or the grid of the dSprites file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from iodine_kit.datasets._dsprites import NAMES, ORIGINAL, Outline, load_sprites, outline
from iodine_kit.errors import ConfigError
from iodine_kit.records import Floats

FACTORS = ("shape", "x", "y", "scale", "orientation")
"""The factors of a sprite's outline, in the order of the arguments of :func:`iodine_kit.datasets._dsprites.outline`."""


@dataclass(frozen=True, eq=False)
class SpriteDistribution:
    """The distribution of a sprite's factors, and how to draw a sprite.

    Attributes:
        values: by factor, an interval ``(low, high)`` or an array of equally likely values.
        outline: as :func:`iodine_kit.datasets._dsprites.outline`.
    """

    values: Mapping[str, tuple[float, float] | Floats]
    outline: Callable[..., Outline]

    def sample(self, rng: np.random.Generator, name: str, count: int) -> Floats:
        """Sample ``float32[count]``, the precision of stored factors, so that these redraw exactly the same image."""
        values = self.values[name]
        if isinstance(values, tuple):
            return between(rng, values, count)
        return values[rng.integers(0, len(values), count)]


@lru_cache(maxsize=1)
def sprite_distribution(
    sprites: Path | None, shapes: tuple[str, ...], scale: tuple[float, float]
) -> SpriteDistribution:
    """The distribution of sprites by formula, or of those in the dSprites file ``sprites``.

    Raises:
        ConfigError: the file does not have these shapes or scales.
        SourceError, StorageError, CorruptDataError, SchemaError: see :func:`load_sprites`.
    """
    ids = np.array([NAMES.index(shape) for shape in shapes or ORIGINAL], np.float32)
    if sprites is None:
        whole = (0.0, 1.0)
        intervals = {"scale": scale, "orientation": (0, 2 * np.pi), "x": whole, "y": whole}
        return SpriteDistribution({"shape": ids, **intervals}, outline)
    loaded = load_sprites(sprites)
    values = {name: loaded.axes[name].astype(np.float32) for name in FACTORS}
    if not np.isin(ids, values["shape"]).all():
        raise ConfigError(f"{sprites}: contains only the shapes {values['shape']}: set dataset.shapes to some of them")
    # Slightly wider than requested, because the scales in the file have rounding errors.
    scales = values["scale"][(values["scale"] > scale[0] - 1e-4) & (values["scale"] < scale[1] + 1e-4)]
    if not len(scales):
        raise ConfigError(f"{sprites}: none of its scales {values['scale']} is within dataset.scale = {list(scale)}")
    return SpriteDistribution({**values, "shape": ids, "scale": scales}, loaded.outline)


def between(rng: np.random.Generator, interval: tuple[float, float], count: int) -> Floats:
    """Sample ``float32[count]`` uniformly from an interval."""
    low, high = np.float32(interval[0]), np.float32(interval[1])
    return low + (high - low) * rng.random(count, np.float32)
