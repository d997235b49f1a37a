"""Evidence lower bound after the last refinement step."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import IGNORED_LIKELIHOOD

VERSION = 1
TITLE = "ELBO"
NEEDS = "elbo"
UNIT = "nats"
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = False
CONVENTION = (
    "−(NLL + KL) of the scene, at the last decode, in nats per image. NLL is that of one sample of the posterior, "
    "KL is by formula and not weighted, be the training's β other than 1. As images are continuous, the density and "
    "so the bound may be above 0."
)

IGNORED = IGNORED_LIKELIHOOD


def score(comparison: Comparison) -> Scores:
    """ELBO of every scene in nats; see :class:`iodine_kit.metrics.MetricPlugin`."""
    assert comparison.prediction.elbo is not None
    return Scores(comparison.prediction.elbo[:, -1].astype(np.float64))
