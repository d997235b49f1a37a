"""Which slot belongs to which object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def hungarian(iou_BNK: NDArray[np.float64], objects_BN: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One slot for each object such that the sum of IoUs is largest (Kuhn 1955), ``int64[B, N]``; −1 for none.

    An object that would share no pixel with its slot gets none.
    """
    match_BN = np.full(objects_BN.shape, -1, np.int64)
    for match_N, iou_NK, objects_N in zip(match_BN, iou_BNK, objects_BN, strict=True):
        objects = np.flatnonzero(objects_N)
        row, slot = linear_sum_assignment(iou_NK[objects], maximize=True)
        match_N[objects[row]] = np.where(iou_NK[objects[row], slot] > 0, slot, -1)
    return match_BN
