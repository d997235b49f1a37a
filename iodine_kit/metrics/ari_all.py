"""ARI over all pixels, the background counted as one more entity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics._rand_index import adjusted_rand_index
from iodine_kit.records import PredictionBatch, SceneBatch

VERSION = 1
TITLE = "ARI (all pixels)"
NEEDS = None
CONVENTION = (
    "Adjusted Rand index over all pixels, all background indices merged into one entity; mean over scenes. "
    "IODINE may divide the background among slots, which lowers this figure and not the foreground ARI."
)


def score(truth: SceneBatch, prediction: PredictionBatch, background: Sequence[int]) -> NDArray[np.float64]:
    """ARI of every scene over all its pixels, in [−1, 1]. See :class:`iodine_kit.metrics.MetricPlugin`."""
    true, predicted = truth.mask.reshape(len(truth), -1), prediction.mask.reshape(len(truth), -1)
    true = np.where(np.isin(true, background), 0, true)
    return adjusted_rand_index(true, predicted, np.ones(true.shape, bool))
