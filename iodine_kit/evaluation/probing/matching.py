"""Slots assigned to objects by the loss of probes: the assignment of least loss (Dittadi et al. 2022, 'loss matching').

The assignment uses the true factors, of test objects too: of several possible slots, the one that predicts best is
chosen. The score shows how much the latents contain if the right slot were known; do not compare it with a match by
mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from iodine_kit.evaluation.probing.estimators import Fitted
from iodine_kit.evaluation.probing.objects import Objects


def by_loss(fitted: Sequence[Fitted], objects: Objects, wanted_M: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The slots of all ``wanted`` objects, ``int64[M]``, such that each scene's sum of losses is least; −1 for none.

    The loss is summed over factors: for numbers the squared error over the training objects' variance, for classes the
    negative log-probability of the true class. Objects that are not wanted keep their match by mask.
    """
    slot_M = objects.slot_M.copy()
    places = np.flatnonzero(wanted_M)
    scenes = objects.scene_M[places]
    loss_RK = losses(fitted, objects, places)
    for rows in np.split(np.arange(len(places)), np.flatnonzero(np.diff(scenes)) + 1):
        slot_M[places[rows]] = -1
        chosen, slots = linear_sum_assignment(loss_RK[rows])
        slot_M[places[rows[chosen]]] = slots
    return slot_M


def losses(fitted: Sequence[Fitted], objects: Objects, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Loss of each of R objects, at ``places``, with each slot of its scene, ``float64[R, K]``."""
    scenes, row_R = np.unique(objects.scene_M[places], return_inverse=True)
    loc_SKZ = objects.loc_NKZ[scenes]
    total_RK = np.zeros((len(places), loc_SKZ.shape[1]))
    for probe in fitted:
        loss_SKV = probe.losses(loc_SKZ.reshape(-1, loc_SKZ.shape[2])).reshape(*loc_SKZ.shape[:2], -1)
        values_R = probe.factor.values[places]
        if probe.factor.kind == "number":
            total_RK += (loss_SKV[row_R, :, 0] - values_R[:, None]) ** 2 / probe.variance
        elif probe.model is not None:
            total_RK += loss_SKV[row_R, :, values_R]
    return total_RK
