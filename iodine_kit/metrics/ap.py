"""Average precision without confidences, as in cell segmentation (StarDist, Cellpose)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import DETECTION, HARD, OBJECT, detections, right

VERSION = 1
TITLE = "AP"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "TP / (TP + FP + FN) at intersections over union of 0.50, 0.55, …, 0.95, then the mean of the ten; of each "
    "scene by itself, never pooled. TP is the most pairs of an object and a detection whose IoU over all pixels is "
    "at least the threshold, none in two pairs; FP and FN are the detections and objects left over. No confidence "
    f"ranks detections, so these are the figures of StarDist and Cellpose and not COCO's. {DETECTION} {OBJECT} "
    f"{HARD} Every scene is defined: one without objects scores 0 if anything is detected, and 1 if nothing is, "
    "where the formula is 0/0."
)


def score(comparison: Comparison) -> Scores:
    """Average precision of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    found_BK = detections(comparison)
    either_B = found_BK.sum(1) + comparison.object_counts_B
    hits_TB = np.stack([right(comparison, found_BK, twentieths) for twentieths in range(10, 20)])
    empty_B = either_B == 0
    precision_TB = np.where(empty_B, 1.0, hits_TB / np.where(empty_B, 1, either_B - hits_TB))
    return Scores(precision_TB.mean(0), empty_B)
