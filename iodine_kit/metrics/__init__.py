"""Metrics: each module of this folder is one and offers what :class:`MetricPlugin` says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import PredictionBatch, SceneBatch


class MetricPlugin(Protocol):
    """What a module of this folder offers. Scores are per scene; an undefined score is NaN and counted as such."""

    VERSION: int
    """Raised whenever the same masks would get another score."""

    TITLE: str
    """Its name in tables."""

    CONVENTION: str
    """One sentence that leaves no question about what was computed, degenerate scenes included."""

    NEEDS: str | None
    """Field of :class:`PredictionBatch` that must have been stored, beside the masks."""

    def score(self, truth: SceneBatch, prediction: PredictionBatch, background: Sequence[int]) -> NDArray[np.float64]:
        """Return ``float64[B]``; ``background`` lists the mask indices that are background."""
