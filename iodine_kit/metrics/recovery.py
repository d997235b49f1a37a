"""Object recovery: the share of objects that one slot holds well."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import HARD, MATCHED, OBJECT, RECOVERY_IOU, UNDEFINED, weighted_mean

VERSION = 1
TITLE = "Recovery"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    f"Share of the scene's objects whose matched slot has an intersection over union of at least {RECOVERY_IOU} with "
    f"them. Slots left over cost nothing. {MATCHED} {HARD} {OBJECT} {UNDEFINED}"
)


def score(comparison: Comparison) -> Scores:
    """Share of recovered objects of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    recovered_BN = np.where(comparison.matched_iou_BN >= RECOVERY_IOU, 1.0, 0.0)
    return weighted_mean(recovered_BN, comparison.objects_BN)
