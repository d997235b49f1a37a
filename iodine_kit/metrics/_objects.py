"""Figures of a scene made of figures of its objects or entities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics import Scores


def weighted_mean(values_BN: NDArray[np.float64], weights_BN: NDArray[np.int64] | NDArray[np.bool_]) -> Scores:
    """Σ weight · value / Σ weight of every scene; undefined where all weights are 0. Values of weight 0 may be NaN."""
    total_B = weights_BN.sum(1)
    sum_B = np.where(weights_BN > 0, values_BN * weights_BN, 0.0).sum(1)
    return Scores(np.where(total_B > 0, sum_B / np.maximum(total_B, 1), np.nan))
