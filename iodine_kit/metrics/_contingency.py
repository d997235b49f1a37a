"""Which masks are accepted, and pixels by true entity and slot: the table from which most metrics are computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array, Bytes

LARGEST = 255
"""The largest id of an entity or slot."""
AT_ONCE = 1 << 19
"""Pixels counted together: few enough to stay in a processor's cache."""
MANY_RUNS = 0.1
"""Runs per pixel from which on counting runs is slower than counting pixels."""
_CHAINS = 4


def checked_masks(name: str, masks: Any) -> Bytes:
    """Masks as ``uint8``: arrays of that type as they are, other integers converted.

    Raises:
        ValueError: for another type, or ids outside 0…255; ``name`` is that of the argument.
    """
    array = np.asarray(masks)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iu":
        advice = "take the arg max over slots" if array.dtype.kind == "f" else "one id per pixel"
        raise ValueError(f"{name} is {array.dtype}, not integers: {advice}")
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if low < 0 or high > LARGEST:
        raise ValueError(f"{name} has ids from {low} to {high}; they must be in 0…{LARGEST}: renumber them")
    return array.astype(np.uint8)


def check_slots(mask: Bytes, slots: int | None) -> None:
    """Raise :class:`ValueError` if a predicted mask has a slot id that is not below ``slots``."""
    highest = int(mask.max(initial=0)) if slots is not None else -1
    if slots is not None and highest >= slots:
        raise ValueError(f"prediction.mask has slot id {highest}, and there are {slots} slots, numbered from 0")


def shape_of(array: Array) -> str:
    """A shape as messages write it: ``"[2, 6, 8]"``."""
    return f"[{', '.join(map(str, array.shape))}]"


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
    together = max(1, min(images, AT_ONCE // (height * width)))
    cell = np.empty((together, height * width), np.min_scalar_type(max(tall * wide - 1, wide)))
    starting = np.empty(cell.size, bool)  # used again and again: new pages take time
    for first in range(0, images, together):
        some = slice(first, min(first + together, images))
        cell_BP = cell[: some.stop - first]
        np.multiply(mask[some], wide, out=cell_BP, dtype=cell.dtype)
        cell_BP += slots[some]
        table_BNK[some, 1:] = _count(cell_BP, tall * wide, starting[: cell_BP.size]).reshape(-1, tall, wide)
    merged = [index + 1 for index in sorted(set(background)) if 0 <= index < tall]
    table_BNK[:, 0] = table_BNK[:, merged].sum(1)
    table_BNK[:, merged] = 0
    return table_BNK


def _count(cell_BP: Array, cells: int, starting: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels by image and cell, ``int64[B, cells]``; ``starting`` is room for a truth value of every pixel.

    Along a line the cell, which is the pair of entity and slot, seldom changes: lengths of runs are counted, which are
    far fewer than pixels. Masks like noise, of which that is not true, are counted pixel by pixel.
    """
    images, pixels = cell_BP.shape
    flat = cell_BP.ravel()
    np.not_equal(flat[1:], flat[:-1], out=starting[1:])
    starting[::pixels] = True
    if np.count_nonzero(starting[:pixels]) > MANY_RUNS * pixels:  # the first image stands for all
        return _count_pixels(cell_BP, cells)
    starts = np.flatnonzero(starting)
    lengths = np.empty(len(starts))  # float64, as bincount wants them: exact up to 2^53
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
    lengths[-1] = flat.size - starts[-1]
    place = starts // pixels
    place *= cells
    place += flat[starts]
    summed = np.bincount(place, lengths, minlength=images * cells)
    return summed.astype(np.int64).reshape(images, cells)


def _count_pixels(cell_BP: Array, cells: int) -> NDArray[np.int64]:
    """Pixels by image and cell, neighbours in different counters: a processor waits to add twice to the same one."""
    chains = max(1, min(_CHAINS, 256 // cells))
    chain_P = np.arange(cell_BP.shape[1]) % chains * cells
    cell_BP += chain_P.astype(cell_BP.dtype)
    counters = np.stack([np.bincount(cell_P, minlength=chains * cells) for cell_P in cell_BP])
    counted: NDArray[np.int64] = counters.reshape(-1, chains, cells).sum(1)
    return counted
