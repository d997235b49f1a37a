"""Mean IoU of objects with the slots matched to them, over foreground pixels only."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._comparison import hungarian
from iodine_kit.metrics._conventions import HARD, OBJECT, UNDEFINED, weighted_mean

VERSION = 1
TITLE = "Foreground mIoU"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Intersection over union of each object and its matched slot, both without the pixels whose true entity is "
    "background, as in foreground ARI; 0 for an object without a slot; mean over the scene's objects. For data whose "
    "background needs no slot of its own. Matched: one slot at most for each object and one object for each slot, such "
    "that the sum of these IoUs is largest (Hungarian); one without a common pixel is none. "
    f"{HARD} {OBJECT} {UNDEFINED}"
)


def score(comparison: Comparison) -> Scores:
    """Mean matched foreground IoU of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    objects_BN = comparison.objects_BN
    table_BNK = np.where(objects_BN[..., None], comparison.table_BNK, 0)
    union_BNK = table_BNK.sum(2)[..., None] + table_BNK.sum(1)[:, None] - table_BNK
    iou_BNK = table_BNK / np.maximum(union_BNK, 1)
    match_BN = hungarian(iou_BNK, objects_BN)
    matched_BN = np.take_along_axis(iou_BNK, np.maximum(match_BN, 0)[..., None], 2)[..., 0]
    return weighted_mean(np.where(match_BN >= 0, matched_BN, 0.0), objects_BN)
