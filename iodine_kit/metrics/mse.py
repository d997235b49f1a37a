"""Mean squared error of the reconstruction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import PredictionBatch, SceneBatch

VERSION = 1
TITLE = "MSE"
NEEDS = "reconstruction"
CONVENTION = (
    "Squared difference between the mixture's mean image, not clipped, and the input, both in [0, 1]; mean over "
    "pixels, channels and scenes. Models that work in [−1, 1] report four times this figure."
)


def score(truth: SceneBatch, prediction: PredictionBatch, background: Sequence[int]) -> NDArray[np.float64]:
    """Mean squared error of every scene, ≥ 0. See :class:`iodine_kit.metrics.MetricPlugin`."""
    assert prediction.reconstruction is not None
    error = prediction.reconstruction.astype(np.float64) - truth.image / 255
    result: NDArray[np.float64] = (error**2).mean((1, 2, 3))
    return result
