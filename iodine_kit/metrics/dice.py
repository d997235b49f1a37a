"""Mean Dice coefficient (F1 of pixels) of objects with the slots matched to them."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._objects import weighted_mean

VERSION = 1
TITLE = "Dice"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "2·|object ∩ slot| / (|object| + |slot|) of each object and the slot matched to it; mean over the scene's "
    "objects. An object is a true entity that is not background and has at least one pixel. One slot at most for each"
    " object, such that the sum of IoUs (not of these coefficients) is largest (Hungarian; among equal sums any), out"
    " of all slots; an object without a slot of its own scores 0, and slots left over cost nothing here; a scene "
    "without objects is undefined and left out."
)


def score(comparison: Comparison) -> Scores:
    """Mean Dice coefficient of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    iou_BN = comparison.matched_iou_BN
    return weighted_mean(2 * iou_BN / (1 + iou_BN), comparison.objects_BN)
