"""Boundary F-measure of objects with the slots matched to them, as in DAVIS (Perazzi et al. 2016)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._boundaries import boundary_agreement
from iodine_kit.metrics._conventions import HARD, MATCHED, OBJECT, UNDEFINED, weighted_mean

VERSION = 1
TITLE = "Boundary F"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = False
CONVENTION = (
    "F-measure of precision (share of the slot's boundary near the object's) and recall (share of the object's "
    "boundary near the slot's) of each object and its matched slot, 0 for an object without one; mean over the "
    "scene's objects. A pixel is boundary if it and its neighbours to the right, below and diagonally below are not "
    "all in the mask or all outside; the image's edge is no boundary. Near: within a disk whose radius is "
    "{tolerance} of the diagonal, rounded up to pixels. Where neither has a boundary, for both fill the image, it "
    f"is 1; where only one has, 0. {MATCHED} {HARD} {OBJECT} {UNDEFINED}"
)

IGNORED = (
    "Pixels to ignore are like those beyond the image's edge: none is boundary or makes its neighbours boundary. "
    "In a scene that has pixels to ignore, an object without a boundary is omitted, because its boundary may be among "
    "them; a scene without other objects is omitted too."
)


def score(comparison: Comparison) -> Scores:
    """Mean boundary F-measure of every scene, in [0, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    f_BN, empty_BN, counted_BN = boundary_agreement(comparison)
    return Scores(weighted_mean(f_BN, counted_BN).values, np.any(empty_BN, 1))
