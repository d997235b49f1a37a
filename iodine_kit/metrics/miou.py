"""Mean IoU of objects with the slots matched to them."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import HARD, MATCHED, OBJECT, UNDEFINED, weighted_mean

VERSION = 1
TITLE = "mIoU"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Intersection over union of each object and its matched slot, 0 for an object without one; mean over the "
    f"scene's objects. Slots left over cost nothing. {MATCHED} {HARD} {OBJECT} {UNDEFINED}"
)


def score(comparison: Comparison) -> Scores:
    """Mean matched IoU of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    return weighted_mean(comparison.matched_iou_BN, comparison.objects_BN)
