"""Boundary F-measure of objects with the slots matched to them, as in DAVIS (Perazzi et al. 2016)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._boundaries import boundary_agreement
from iodine_kit.metrics._objects import weighted_mean

VERSION = 1
TITLE = "Boundary F"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = False
CONVENTION = (
    "F-measure of precision (share of the slot's boundary near the object's) and recall (share of the object's "
    "boundary near the slot's) of each object and the slot matched to it; mean over the scene's objects. A pixel is "
    "boundary of a mask if it and its neighbours to the right, below and diagonally below are not all inside or all "
    "outside; the image's edge is no boundary. Near is within a disk whose radius is {tolerance} of the image's "
    "diagonal, rounded up to pixels. An object is a true entity that is not background and has at least one pixel. "
    "One slot at most for each object, such that the sum of IoUs is largest (Hungarian; among equal sums any); an "
    "object without a slot of its own scores 0; an object and a slot that both fill the image have no boundary, and "
    "score 1; a scene without objects is undefined and left out."
)


def score(comparison: Comparison) -> Scores:
    """Mean boundary F-measure of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    f_BN, empty_BN = boundary_agreement(comparison)
    return Scores(weighted_mean(f_BN, comparison.objects_BN).values, np.any(empty_BN, 1))
