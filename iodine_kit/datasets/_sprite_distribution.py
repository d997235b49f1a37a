"""What the factors of a sprite are drawn from: formulas and intervals, or the grid of dSprites' own file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from iodine_kit.datasets._dsprites import GENUINE, NAMES, Outline, load_sprites, outline
from iodine_kit.errors import ConfigError
from iodine_kit.records import Floats

FACTORS = ("shape", "x", "y", "scale", "orientation")
"""Of a sprite's outline, as :func:`iodine_kit.datasets._dsprites.outline` takes them."""


@dataclass(frozen=True, eq=False)
class Law:
    """What a sprite's factors are drawn from, and how one is drawn on the image.

    Attributes:
        values: by factor, either an interval ``(low, high)`` or an array of equally likely values.
        outline: as :func:`iodine_kit.datasets._dsprites.outline`.
    """

    values: Mapping[str, tuple[float, float] | Floats]
    outline: Callable[..., Outline]

    def sample(self, rng: np.random.Generator, name: str, count: int) -> Floats:
        """``float32[count]``: the precision that factors are stored in, so that they redraw the very same image."""
        values = self.values[name]
        if isinstance(values, tuple):
            return between(rng, values, count)
        return values[rng.integers(0, len(values), count)]


@lru_cache(maxsize=1)
def sprite_law(sprites: Path | None, shapes: tuple[str, ...], scale: tuple[float, float]) -> Law:
    """The law of sprites by formula, or of those in dSprites' file.

    Raises:
        ConfigError: the file has no such shapes or scales.
        SourceError, StorageError, CorruptDataError, SchemaError: of the file.
    """
    ids = np.array([NAMES.index(shape) for shape in shapes or GENUINE], np.float32)
    if sprites is None:
        whole = (0.0, 1.0)
        return Law({"shape": ids, "scale": scale, "orientation": (0, 2 * np.pi), "x": whole, "y": whole}, outline)
    loaded = load_sprites(sprites)
    values = {name: loaded.axes[name].astype(np.float32) for name in FACTORS}
    if not np.isin(ids, values["shape"]).all():
        raise ConfigError(f"{sprites}: holds shapes {values['shape']} only; name some of them in dataset.shapes")
    # A little wider than asked for: the file's scales carry the rounding of a linear space.
    scales = values["scale"][(values["scale"] > scale[0] - 1e-4) & (values["scale"] < scale[1] + 1e-4)]
    if not len(scales):
        raise ConfigError(f"{sprites}: has scales {values['scale']}, none within dataset.scale = {list(scale)}")
    return Law({**values, "shape": ids, "scale": scales}, loaded.outline)


def between(rng: np.random.Generator, interval: tuple[float, float], count: int) -> Floats:
    """``float32[count]``, uniform in an interval."""
    low, high = np.float32(interval[0]), np.float32(interval[1])
    return low + (high - low) * rng.random(count, np.float32)
