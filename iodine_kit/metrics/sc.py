"""Segmentation covering (Arbeláez et al. 2011) of all entities, weighted by their pixels."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._objects import weighted_mean

VERSION = 1
TITLE = "SC"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Largest intersection over union of each true entity with any slot; mean over the scene's entities, weighted by "
    "their pixels. An entity is an object or the background, all background indices merged into one, if it has at "
    "least one pixel; the last entity and the last slot count like all others, which not every public evaluator sees "
    "to. A slot may serve several entities, and slots without pixels do no harm; every scene is defined."
)


def score(comparison: Comparison) -> Scores:
    """Segmentation covering of every scene, in (0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    return weighted_mean(comparison.iou_BNK.max(2), comparison.pixels_BN)
