"""Segmentation covering (Arbeláez et al. 2011) of all entities, weighted by their pixels."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import ENTITY, HARD, weighted_mean

VERSION = 1
TITLE = "SC"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Largest intersection over union of each entity with any slot; mean over the scene's entities, weighted by "
    f"their pixels. A slot may serve several entities. {ENTITY} {HARD} Every scene is defined."
)


def score(comparison: Comparison) -> Scores:
    """Segmentation covering of every scene, in (0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    return weighted_mean(comparison.iou_BNK.max(2), comparison.pixels_BN)
