"""Pixels by true entity and slot: the small table that most metrics are formulas of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array, Bytes


def rows_of(mask: Bytes, background: Sequence[int]) -> Array:
    """The table's row of every pixel, ``uint8`` or ``uint16`` in the mask's shape: 0 background, e + 1 entity e."""
    largest = int(mask.max(initial=0))
    row_of = np.arange(1, largest + 2, dtype=np.uint8 if largest < 255 else np.uint16)
    row_of[[index for index in background if 0 <= index <= largest]] = 0
    return row_of[mask]


def count(rows: Array, slots: Bytes, device: str) -> NDArray[np.int64]:
    """Pixels by row and slot, ``int64[B, N, K]``, of two ``[B, …]`` arrays; N and K are one more than the largest."""
    images, tall, wide = len(rows), int(rows.max(initial=0)) + 1, int(slots.max(initial=0)) + 1
    image = np.arange(images, dtype=np.int64)[:, None]
    cell = (image * tall + rows.reshape(images, -1)) * wide + slots.reshape(images, -1)
    return np.bincount(cell.ravel(), minlength=images * tall * wide).reshape(images, tall, wide)
