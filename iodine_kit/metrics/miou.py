"""Mean IoU of objects with the slots matched to them."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._objects import weighted_mean

VERSION = 1
TITLE = "mIoU"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Intersection over union, over all pixels, of each object and the slot matched to it; mean over the scene's "
    "objects. An object is a true entity that is not background and has at least one pixel. One slot at most for each"
    " object, such that the sum of IoUs is largest (Hungarian; among equal sums any), out of all slots, those on the "
    "background too; an object without a slot of its own scores 0, and slots left over cost nothing here; a scene "
    "without objects is undefined and left out."
)


def score(comparison: Comparison) -> Scores:
    """Mean matched IoU of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    return weighted_mean(comparison.matched_iou_BN, comparison.objects_BN)
