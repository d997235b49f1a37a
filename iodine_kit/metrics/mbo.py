"""Mean best overlap (Pont-Tuset et al. 2017): the largest IoU of each object with any slot."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import HARD, OBJECT, UNDEFINED, weighted_mean

VERSION = 1
TITLE = "mBO"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Largest intersection over union of each object with any slot, over all pixels; mean over the scene's objects, "
    "each counted alike, so it equals the mean segmentation covering of the foreground. A slot may serve several "
    f"objects; slots left over cost nothing. {HARD} {OBJECT} {UNDEFINED}"
)


def score(comparison: Comparison) -> Scores:
    """Mean best overlap of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    return weighted_mean(comparison.best_iou_BN, comparison.objects_BN)
