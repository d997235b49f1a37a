"""Pixels by true entity and slot: the small table that most metrics are formulas of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array, Bytes

AT_ONCE = 1 << 19
"""Pixels counted together: few enough to stay in a processor's cache."""
MANY_RUNS = 0.2
"""Runs per pixel from which on counting runs is slower than counting pixels."""


def count(mask: Bytes, slots: Bytes, background: Sequence[int]) -> NDArray[np.int64]:
    """Pixels by row and slot, ``int64[B, N, K]``.

    Args:
        mask, slots: ``uint8[B, H, W]``, entity and slot of every pixel.
        background: entities that are merged into row 0; entity e has row e + 1. N and K fit the largest indices.
    """
    images, height, width = mask.shape
    tall, wide = int(mask.max(initial=0)) + 1, int(slots.max(initial=0)) + 1
    mask, slots = mask.reshape(images, height * width), slots.reshape(images, height * width)
    table_BNK = np.zeros((images, tall + 1, wide), np.int64)
    together = max(1, AT_ONCE // (height * width))
    for first in range(0, images, together):
        some = slice(first, first + together)
        table_BNK[some, 1:] = _count(mask[some], slots[some], tall, wide)
    merged = [index + 1 for index in sorted(set(background)) if 0 <= index < tall]
    table_BNK[:, 0] = table_BNK[:, merged].sum(1)
    table_BNK[:, merged] = 0
    return table_BNK


def _count(mask_BP: Bytes, slots_BP: Bytes, tall: int, wide: int) -> NDArray[np.int64]:
    """Pixels by entity and slot, ``int64[B, tall, wide]``.

    Along a line the pair of entity and slot seldom changes: lengths of runs are counted, which are far fewer than
    pixels. Masks like noise, of which that is not true, are counted pixel by pixel.
    """
    images, pixels = mask_BP.shape
    cells = tall * wide
    cell = mask_BP * np.min_scalar_type(cells - 1).type(wide) + slots_BP
    starts = _run_starts(cell)
    if len(starts) > MANY_RUNS * cell.size:
        counted = [np.bincount(of_image, minlength=cells) for of_image in cell]
        return np.stack(counted).reshape(images, tall, wide)
    lengths = np.diff(starts, append=cell.size)
    place = starts // pixels * cells + cell.ravel()[starts]
    summed = np.bincount(place, lengths, minlength=images * cells)  # as float64, exact up to 2^53
    return summed.astype(np.int64).reshape(images, tall, wide)


def _run_starts(cell_BP: Array) -> NDArray[np.intp]:
    """Where, counted through all images, a run of equal cells starts; every image starts one."""
    starting = np.empty(cell_BP.size, bool)
    flat = cell_BP.ravel()
    np.not_equal(flat[1:], flat[:-1], out=starting[1:])
    starting[:: cell_BP.shape[1]] = True
    return np.flatnonzero(starting)
