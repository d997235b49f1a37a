"""Divergence of the posterior from the prior after the last refinement step."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import IGNORED_LIKELIHOOD

VERSION = 1
TITLE = "KL"
NEEDS = "kl"
UNIT = "nats"
BETTER: Literal["higher", "lower"] = "lower"
BY_STEP = False
CONVENTION = (
    "Kullback–Leibler divergence of the posterior from the prior, summed over slots and latent dimensions, by "
    "formula and not weighted, be the training's β other than 1. Lower is a shorter code, not a better "
    "segmentation. At the last decode, in nats per image."
)

IGNORED = IGNORED_LIKELIHOOD


def score(comparison: Comparison) -> Scores:
    """KL of every scene in nats; see :class:`iodine_kit.metrics.MetricPlugin`."""
    assert comparison.prediction.kl is not None
    return Scores(comparison.prediction.kl[:, -1].astype(np.float64))
