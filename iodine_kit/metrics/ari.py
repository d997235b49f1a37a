"""Foreground ARI: how well the slots' masks group the pixels of objects (Greff et al. 2019, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics._rand_index import adjusted_rand_index
from iodine_kit.records import PredictionBatch, SceneBatch

VERSION = 1
TITLE = "FG-ARI"
NEEDS = None
CONVENTION = (
    "Adjusted Rand index over the pixels whose true entity is not background, each given to the slot with the largest "
    "mask (lowest index in a tie); mean over scenes. A single object kept in one slot scores 1, split over slots 0; "
    "a scene without foreground pixels is undefined and left out."
)


def score(truth: SceneBatch, prediction: PredictionBatch, background: Sequence[int]) -> NDArray[np.float64]:
    """FG-ARI of every scene, in [−1, 1]; NaN without foreground; see :class:`iodine_kit.metrics.MetricPlugin`."""
    true, predicted = truth.mask.reshape(len(truth), -1), prediction.mask.reshape(len(truth), -1)
    return adjusted_rand_index(true, predicted, ~np.isin(true, background))
