"""Slots as detections of objects, and which of them are right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics import Comparison


def detections(comparison: Comparison) -> NDArray[np.bool_]:
    """Which slots are detections, ``bool[B, K]``; the rule is :data:`iodine_kit.metrics._conventions.DETECTION`."""
    slot_pixels_BK = comparison.slot_pixels_BK
    detected: NDArray[np.bool_] = (slot_pixels_BK > 0) & (2 * comparison.table_BNK[:, 0] <= slot_pixels_BK)
    return detected


def right(comparison: Comparison, found_BK: NDArray[np.bool_], twentieths: int) -> NDArray[np.float64]:
    """True positives: the most pairs of an object and a detection with an IoU ≥ twentieths/20 ≥ 1/2, none twice.

    Masks exclude each other. So IoUs above 1/2 pair one object with one detection, and of exactly 1/2 an object may
    have two detections, or a detection two objects, but never both: those are stars, of which each holds one pair.
    """
    possible_BNK = comparison.objects_BN[:, :, None] & found_BK[:, None]
    pair_BNK = possible_BNK & (20 * comparison.table_BNK >= twentieths * comparison.union_BNK)  # exact, in integers
    of_object, of_slot = pair_BNK.sum(2, keepdims=True), pair_BNK.sum(1, keepdims=True)
    share_BNK = pair_BNK / np.maximum(np.maximum(of_object, of_slot), 1)
    result: NDArray[np.float64] = share_BNK.sum((1, 2))
    return result
