"""Agreement of boundaries within a tolerance, as DAVIS measures it (Perazzi et al. 2016), for all objects at once.

Each pixel of a map holds one bit for each of eight objects, so one shift of the map shifts eight masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics import Comparison
from iodine_kit.records import Array, Bytes

OBJECTS = 8
"""Bits of a pixel."""
_AT_ONCE = 1 << 18
_BITS_OF = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.int64)


def radius(height: int, width: int, tolerance: float) -> int:
    """Largest distance of matching boundaries in pixels: a share of the diagonal, rounded up."""
    return math.ceil(tolerance * math.hypot(height, width))


def boundary_agreement(comparison: Comparison) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """F-measure of precision and recall of the boundary of every row's matched slot, both ``[B, N]``.

    Returns:
        The F-measure, 0 where no slot is matched; and where it is 0/0, because neither object nor slot has a boundary:
        both fill the image. The F-measure is 1 there.
    """
    f_BN, empty_BN = np.zeros(comparison.match_BN.shape), np.zeros(comparison.match_BN.shape, bool)
    matched_BN = comparison.match_BN >= 0
    place_BN = np.cumsum(matched_BN, 1) - 1
    height, width = comparison.truth.mask.shape[1:]
    together = max(1, _AT_ONCE // (height * width))
    for group in range(math.ceil(int(matched_BN.sum(1).max(initial=0)) / OBJECTS)):
        in_group_BN = matched_BN & (place_BN // OBJECTS == group)
        for first in range(0, len(comparison), together):
            some = slice(first, first + together)
            scene, row = np.nonzero(in_group_BN[some])
            bit = place_BN[some][scene, row] % OBJECTS
            f_BJ, empty_BJ = _agreement(*_bit_maps(comparison, some, scene, row, bit), comparison.options.tolerance)
            f_BN[some][scene, row], empty_BN[some][scene, row] = f_BJ[scene, bit], empty_BJ[scene, bit]
    return f_BN, empty_BN


def _bit_maps(
    comparison: Comparison, some: slice, scene: NDArray[np.intp], row: NDArray[np.intp], bit: NDArray[np.int64]
) -> tuple[Bytes, Bytes]:
    """Masks of objects and of their slots as bits, ``uint8[B, H, W]``; object ``row`` of ``scene`` is bit ``bit``."""
    truth, slots = comparison.truth.mask[some], comparison.prediction.mask[some]
    entity_bits, slot_bits = (np.zeros((len(truth), 256), np.uint8) for _ in range(2))
    entity_bits[scene, row - 1] = slot_bits[scene, comparison.match_BN[some][scene, row]] = 1 << bit
    return tuple(  # type: ignore[return-value]
        np.stack([bits[labels] for bits, labels in zip(table, maps, strict=True)])
        for table, maps in ((entity_bits, truth), (slot_bits, slots))
    )


def _agreement(true_BHW: Bytes, guess_BHW: Bytes, tolerance: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """F-measure of every bit, ``float64[B, 8]``, and where neither map has a boundary."""
    reach = radius(true_BHW.shape[1], true_BHW.shape[2], tolerance)
    true_BHW, guess_BHW = _boundary(true_BHW), _boundary(guess_BHW)
    true, guess = _by_bit(true_BHW), _by_bit(guess_BHW)
    recalled, precise = _by_bit(true_BHW & _dilate(guess_BHW, reach)), _by_bit(guess_BHW & _dilate(true_BHW, reach))
    # Without a boundary nothing is missed: 1. If one side is empty, the other's share is 0, and so is F.
    recall = np.where(true > 0, recalled / np.maximum(true, 1), 1.0)
    precision = np.where(guess > 0, precise / np.maximum(guess, 1), 1.0)
    total = precision + recall
    return np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), 0.0), (true == 0) & (guess == 0)


def _boundary(bits_BHW: Bytes) -> Bytes:
    """Where a pixel differs from that to its right, below or diagonally below; the image's edge is no boundary."""
    right = np.concatenate([bits_BHW[..., 1:], bits_BHW[..., -1:]], 2)
    some, every = bits_BHW | right, bits_BHW & right
    boundary: Bytes = some ^ every
    boundary[:, :-1] = (some[:, :-1] | some[:, 1:]) ^ (every[:, :-1] & every[:, 1:])
    return boundary


def _dilate(bits_BHW: Bytes, reach: int) -> Bytes:
    """Every bit spread over a disk: pixels at most ``reach`` away."""
    result = np.zeros_like(bits_BHW)
    line, half = bits_BHW.copy(), 0
    for down in range(reach, -1, -1):  # from the disk's ends to its middle lines get longer
        while (half + 1) ** 2 + down**2 <= reach**2:
            half += 1
            for into, out_of in _shifts(half, bits_BHW.shape[2]):
                line[..., into] |= bits_BHW[..., out_of]
        for into, out_of in _shifts(down, bits_BHW.shape[1]):
            result[:, into] |= line[:, out_of]
    return result


def _shifts(by: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Slices that shift one way and the other, within ``length``."""
    kept = max(0, length - by)
    yield slice(length - kept, length), slice(0, kept)
    yield slice(0, kept), slice(length - kept, length)


def _by_bit(bits_BHW: Bytes) -> NDArray[np.int64]:
    """Pixels of every bit, ``int64[B, 8]``; few pixels have any."""
    images, flat = len(bits_BHW), bits_BHW.reshape(-1)
    place = np.flatnonzero(flat != 0)
    image: Array = place // bits_BHW[0].size
    histogram = np.bincount(image * 256 + flat[place], minlength=images * 256).reshape(images, 256)
    counted: NDArray[np.int64] = histogram @ _BITS_OF
    return counted
