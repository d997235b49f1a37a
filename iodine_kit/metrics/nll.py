"""Negative log-likelihood after the last refinement step."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import IGNORED_LIKELIHOOD

VERSION = 1
TITLE = "NLL"
NEEDS = "nll"
UNIT = "nats"
BETTER: Literal["higher", "lower"] = "lower"
BY_STEP = False
CONVENTION = (
    "Minus the log-density of the scene's image under the likelihood, summed over pixels and channels, given one "
    "sample of the posterior. As images are continuous, the density may be above 1 and this figure negative; it "
    "depends on the likelihood's fixed scale, so only models with the same one compare. At the last decode, in nats "
    "per image."
)

IGNORED = IGNORED_LIKELIHOOD


def score(comparison: Comparison) -> Scores:
    """NLL of every scene in nats; see :class:`iodine_kit.metrics.MetricPlugin`."""
    assert comparison.prediction.nll is not None
    return Scores(comparison.prediction.nll[:, -1].astype(np.float64))
