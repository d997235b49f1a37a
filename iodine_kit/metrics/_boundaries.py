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


def boundary_agreement(
    comparison: Comparison,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """F-measure of precision and recall of the boundary of every row's matched slot, all ``[B, N]``.

    Returns:
        The F-measure, 0 where no slot is matched; where it is 0/0, because neither object nor slot has a boundary: both
        fill the image, and the F-measure is 1 there; and which rows are objects that count: not those without a
        boundary in a scene with ignored pixels, because their boundary may be among these.
    """
    f_BN, empty_BN = np.zeros(comparison.match_BN.shape), np.zeros(comparison.match_BN.shape, bool)
    counted_BN = comparison.objects_BN.copy()
    ignores_B1 = comparison.ignored_pixels_B[:, None] > 0
    drawn_BN = (comparison.match_BN >= 0) | (comparison.objects_BN & ignores_B1)
    place_BN = np.cumsum(drawn_BN, 1) - 1
    height, width = comparison.truth.mask.shape[1:]
    together = max(1, _AT_ONCE // (height * width))
    for group in range(math.ceil(int(drawn_BN.sum(1).max(initial=0)) / OBJECTS)):
        in_group_BN = drawn_BN & (place_BN // OBJECTS == group)
        for first in range(0, len(comparison), together):
            some = slice(first, first + together)
            scene, row = np.nonzero(in_group_BN[some])
            bit = place_BN[some][scene, row] % OBJECTS
            kept_BHW = None if comparison.ignored is None else comparison.kept_BHW[some]
            maps = _bit_maps(comparison, some, scene, row, bit)
            f_BJ, empty_BJ, bare_BJ = _agreement(*maps, kept_BHW, comparison.options.tolerance)
            f_BN[some][scene, row], empty_BN[some][scene, row] = f_BJ[scene, bit], empty_BJ[scene, bit]
            counted_BN[some][scene, row] &= ~(bare_BJ[scene, bit] & ignores_B1[some][scene, 0])
    return f_BN, empty_BN & counted_BN, counted_BN


def _bit_maps(
    comparison: Comparison, some: slice, scene: NDArray[np.intp], row: NDArray[np.intp], bit: NDArray[np.int64]
) -> tuple[Bytes, Bytes]:
    """Masks of objects and of their slots as bits, ``uint8[B, H, W]``; object ``row`` of ``scene`` is bit ``bit``."""
    truth, slots = comparison.truth.mask[some], comparison.prediction.mask[some]
    entity_bits, slot_bits = (np.zeros((len(truth), 256), np.uint8) for _ in range(2))
    match = comparison.match_BN[some][scene, row]
    entity_bits[scene, row - 1] = 1 << bit
    slot_bits[scene[match >= 0], match[match >= 0]] = 1 << bit[match >= 0]
    return tuple(  # type: ignore[return-value]
        np.stack([bits[labels] for bits, labels in zip(table, maps, strict=True)])
        for table, maps in ((entity_bits, truth), (slot_bits, slots))
    )


def _agreement(
    true_BHW: Bytes, guess_BHW: Bytes, kept_BHW: NDArray[np.bool_] | None, tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """F-measure of every bit, ``float64[B, 8]``, where neither map has a boundary, and where the true one has none."""
    reach = radius(true_BHW.shape[1], true_BHW.shape[2], tolerance)
    true_BHW, guess_BHW = _boundary(true_BHW, kept_BHW), _boundary(guess_BHW, kept_BHW)
    true, guess = _by_bit(true_BHW), _by_bit(guess_BHW)
    recalled, precise = _by_bit(true_BHW & _dilate(guess_BHW, reach)), _by_bit(guess_BHW & _dilate(true_BHW, reach))
    # Without a boundary nothing is missed: 1. If one side is empty, the other's share is 0, and so is F.
    recall = np.where(true > 0, recalled / np.maximum(true, 1), 1.0)
    precision = np.where(guess > 0, precise / np.maximum(guess, 1), 1.0)
    total = precision + recall
    f_measure = np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), 0.0)
    return f_measure, (true == 0) & (guess == 0), true == 0


def _boundary(bits_BHW: Bytes, kept_BHW: NDArray[np.bool_] | None = None) -> Bytes:
    """Where a pixel differs from that to its right, below or diagonally below; the image's edge is no boundary.

    Pixels that are not kept are as those beyond the edge: none is a boundary, and none makes its neighbour one.
    """
    if kept_BHW is None:
        some, every = _beside(bits_BHW, np.bitwise_or), _beside(bits_BHW, np.bitwise_and)
        return some ^ every
    some = _beside(np.where(kept_BHW, bits_BHW, np.uint8(0)), np.bitwise_or)
    every = _beside(np.where(kept_BHW, bits_BHW, np.uint8(255)), np.bitwise_and)
    return np.where(kept_BHW, some ^ every, np.uint8(0))


def _beside(bits_BHW: Bytes, join: np.ufunc) -> Bytes:
    """Every pixel joined with those to its right, below and diagonally below, as far as the image goes."""
    joined: Bytes = bits_BHW.copy()
    join(joined[..., :-1], bits_BHW[..., 1:], out=joined[..., :-1])
    join(joined[:, :-1], joined[:, 1:], out=joined[:, :-1])
    return joined


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
