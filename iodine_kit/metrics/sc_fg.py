"""Segmentation covering of objects, weighted by their pixels (Engelcke et al. 2020)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import HARD, OBJECT, UNDEFINED, weighted_mean

VERSION = 1
TITLE = "SC (objects)"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Largest intersection over union of each object with any slot, over all pixels; mean over the scene's objects, "
    "weighted by their pixels (with each counted alike it would be mBO). A slot may serve several objects, and its "
    f"pixels on the background count against it. {HARD} {OBJECT} {UNDEFINED}"
)


def score(comparison: Comparison) -> Scores:
    """Segmentation covering of every scene's objects, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    pixels_BN = np.where(comparison.objects_BN, comparison.pixels_BN, 0)
    return weighted_mean(comparison.best_iou_BN, pixels_BN)
