"""Mean Dice coefficient (F1 of pixels) of objects with the slots matched to them."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import HARD, MATCHED, OBJECT, UNDEFINED, weighted_mean

VERSION = 1
TITLE = "Dice"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "2·|object ∩ slot| / (|object| + |slot|) of each object and its matched slot, 0 for an object without one; mean "
    f"over the scene's objects. Slots left over cost nothing. {MATCHED} {HARD} {OBJECT} {UNDEFINED}"
)


def score(comparison: Comparison) -> Scores:
    """Mean Dice coefficient of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    iou_BN = comparison.matched_iou_BN
    return weighted_mean(2 * iou_BN / (1 + iou_BN), comparison.objects_BN)
