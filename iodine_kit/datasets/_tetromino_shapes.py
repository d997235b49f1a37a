"""The 19 tetrominoes of the data set, and how to draw one.

Ids and shading were derived from published records: redrawing the published scenes from their factors gives identical
bytes. Ids 1, 4 and 8 do not occur in the records that were available; they follow from the order of the others.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

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
