"""Mean squared error of the reconstruction."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores

VERSION = 2
TITLE = "MSE"
NEEDS = "reconstruction"
UNIT = ""
BETTER: Literal["higher", "lower"] = "lower"
BY_STEP = False
CONVENTION = (
    "Squared difference between the mixture's mean image, not clipped, and the input, both in [0, 1]; mean over "
    "pixels and channels. Models that work in [−1, 1] report four times this figure."
)

IGNORED = "The mean is over the pixels that are not ignored."


def score(comparison: Comparison) -> Scores:
    """Mean squared error of every scene, ≥ 0; see :class:`iodine_kit.metrics.MetricPlugin`."""
    return Scores(comparison.squared_error_B)
