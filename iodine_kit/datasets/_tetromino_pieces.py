"""The 19 tetrominoes of the data set, how to draw one, and combinations with colours that are held out from training.

Ids and shading were derived from published records: redrawing the published scenes from their factors gives identical
bytes. Ids 1, 4 and 8 do not occur in the records that were available; they follow from the order of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from iodine_kit.config import Config
from iodine_kit.records import Array, Bytes

PICTURES = (
    "####", "#/#/#/#", "###/#..", "#../###", "..#/###", "###/..#", "##/.#/.#", ".#/.#/##", "##/#./#.", "#./#./##",
    "##./.##", ".##/##.", ".#/##/#.", "#./##/.#", ".#./###", "###/.#.", ".#/##/.#", "#./##/#.", "##/##",
)  # fmt: skip
"""Rows of cells, from the top; the id of a shape is its index here plus one."""

NAMES = ("none", *PICTURES)
COLOURS = tuple(np.array(c, np.float32) for c in product((0, 1), repeat=3) if 0 < sum(c) < 3)
"""Red, green, blue, yellow, magenta and cyan, as 0/1 per channel."""

_EDGE_PIXELS = np.array(
    [
        [191, 255, 255, 255, 223],
        [127, 159, 159, 159, 191],
        [127, 159, 159, 159, 191],
        [127, 159, 159, 159, 191],
        [95, 63, 63, 63, 127],
    ],
    np.float64,
)


@lru_cache
def cell_shading(cell: int) -> Bytes:
    """Brightness ``uint8[cell, cell]`` of one cell: the published 5×5 bevel, resized by area averaging."""
    weights = _area_weights(5, cell)
    return np.rint(weights @ _EDGE_PIXELS @ weights.T).astype(np.uint8)


@lru_cache
def silhouette(shape: int, cell: int) -> Bytes:
    """The pixels of a shape as ``uint8[h, w]`` 0/1, with cells of ``cell`` pixels; ``shape`` is 1…19."""
    rows = PICTURES[shape - 1].split("/")
    cells = np.array([[character == "#" for character in row] for row in rows], np.uint8)
    return np.kron(cells, np.ones((cell, cell), np.uint8))


@lru_cache
def brightness(shape: int, cell: int) -> Bytes:
    """The brightness of a shape as ``uint8[h, w]``, 0 outside."""
    pixels = silhouette(shape, cell)
    height, width = pixels.shape
    return pixels * np.tile(cell_shading(cell), (height // cell, width // cell))


def _area_weights(old: int, new: int) -> Array:
    """``[new, old]``: the share of each new pixel that each old pixel covers; rows sum to 1."""
    edges_new, edges_old = np.linspace(0, old, new + 1), np.arange(old + 1)
    low = np.maximum(edges_new[:-1, None], edges_old[None, :-1])
    high = np.minimum(edges_new[1:, None], edges_old[None, 1:])
    overlap = np.clip(high - low, 0, None)
    weights: Array = overlap / overlap.sum(1, keepdims=True)
    return weights


ColourName = Literal["blue", "green", "cyan", "red", "magenta", "yellow"]
COLOUR_NAMES: tuple[ColourName, ...] = ("blue", "green", "cyan", "red", "magenta", "yellow")
"""Names of :data:`COLOURS`, in their order."""


class Holdout(Config):
    """Holds out every combination of a shape in ``shape`` and a colour in ``color``.

    Attributes:
        shape: ids of the held-out shapes, 1 to 19, as in the factor ``shape``.
        color: names of the held-out colours.
        splits: splits in which every scene has at least one held-out piece; the scenes of all other splits have none.
            The keys of generated scenes begin with the name of the split.
    """

    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=19)], ...], Field(min_length=1)]
    color: Annotated[tuple[ColourName, ...], Field(min_length=1)]
    splits: tuple[str, ...] = ("test",)

    @model_validator(mode="after")
    def _leave_enough(self) -> Holdout:
        """Scenes without held-out pieces are found by rejection sampling, so most samples must be accepted."""
        share = len(set(self.shape)) / 19 * len(set(self.color)) / len(COLOUR_NAMES)
        if share > 0.5:
            raise ValueError(f"holds out {100 * share:.0f} % of all combinations: hold out at most half of them")
        return self


def held_out(holdout: Holdout, shape: Array, colour: Array) -> Array:
    """Which pieces are held out, ``bool[n]``, by shape id and index into :data:`COLOURS`, ``int[n]`` each."""
    names = [COLOUR_NAMES.index(name) for name in holdout.color]
    result: Array = np.isin(shape, holdout.shape) & np.isin(colour, names)
    return result


def held_out_rows(holdout: Holdout, factors: Mapping[str, Array]) -> Array:
    """Which rows of a stored scene are held-out pieces, ``bool[N]``; false for the row of the background."""
    palette = np.array(COLOURS)
    same = (np.asarray(factors["color"])[:, None] == palette[None]).all(-1)
    return held_out(holdout, np.asarray(factors["shape"]), np.where(same.any(1), same.argmax(1), -1))


def related_rows(holdout: Holdout, factors: Mapping[str, Array]) -> tuple[Array, Array]:
    """Which rows of a stored scene have a held-out shape, and which a held-out colour, ``bool[N]`` each."""
    palette = np.array([COLOURS[COLOUR_NAMES.index(name)] for name in holdout.color])
    colour: Array = (np.asarray(factors["color"])[:, None] == palette[None]).all(-1).any(-1)
    return np.isin(factors["shape"], holdout.shape), colour


def obeys(holdout: Holdout, shape: Array, colour: Array, key: str) -> bool:
    """Whether a scene with these pieces is allowed in its split; ``key`` starts with its name: ``"test-00000007"``."""
    return bool(held_out(holdout, shape, colour).any()) == (key.rpartition("-")[0] in holdout.splits)
