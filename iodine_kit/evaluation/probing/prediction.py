"""Probes trained and tested across folds of scenes: every object is predicted by probes that never saw its scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from threadpoolctl import threadpool_limits

from iodine_kit.evaluation.probing.estimators import Fitted, Probe, baseline_of, fit, importances
from iodine_kit.evaluation.probing.factors import Factor
from iodine_kit.evaluation.probing.objects import Objects
from iodine_kit.progress import Advance
from iodine_kit.records import Floats64

Match = Literal["mask", "loss"]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class CrossValidation:
    """How probes are trained and tested across folds of scenes.

    Attributes:
        match: the slot of an object: by mask, or the one from which the probe predicts best.
        rounds: how often a match by loss is repeated.
    """

    folds: int
    seed: int
    match: Match = "mask"
    rounds: int = 3

    def of(self, probe: Probe) -> CrossValidation:
        """How this kind of probe is tested: forests always match objects by mask."""
        return CrossValidation(self.folds, self.seed) if probe == "forest" else self


@dataclass(frozen=True, eq=False)
class Predicted:
    """What one kind of probe predicts for each of M objects.

    Attributes:
        values: ``float64[M]`` by factor.
        slot_M: the slot whose latents were used, −1 where there is none and the baseline is predicted.
        importance_ZF: of latent dimensions for factors, mean over folds; only for forests.
    """

    values: dict[str, Floats64]
    slot_M: NDArray[np.int64]
    importance_ZF: Floats64 | None = None


def folds_of(objects: Objects, folds: int) -> Iterator[tuple[Bools, Bools]]:
    """Which objects train and which are tested, by fold; all objects of a scene are on the same side."""
    from sklearn.model_selection import GroupKFold

    rows = np.zeros((len(objects), 1))
    for training, test in GroupKFold(folds).split(rows, groups=objects.scene_M):
        sides = np.zeros((2, len(objects)), bool)
        sides[0, training] = sides[1, test] = True
        yield sides[0], sides[1]


@dataclass(frozen=True, eq=False)
class FoldPredicted:
    """The part of :class:`Predicted` that one fold of scenes has: of its R test objects.

    Attributes:
        values: ``float64[R]`` by factor.
        slot_R: as ``slot_M``.
        importance_ZF: of the fold's forest; empty for other probes.
    """

    values: dict[str, Floats64]
    slot_R: NDArray[np.int64]
    importance_ZF: Floats64


def predict(
    probe: Probe, objects: Objects, factors: Sequence[Factor], validation: CrossValidation, advance: Advance
) -> Predicted:
    """Predict every factor of every object out of fold; calls ``advance(1)`` after each fold."""
    parts = []
    for fold in range(validation.folds):
        parts.append(predict_fold(probe, objects, factors, validation, fold))
        advance(1)
    return combined(probe, parts, objects, validation)


def predict_fold(
    probe: Probe, objects: Objects, factors: Sequence[Factor], validation: CrossValidation, fold: int
) -> FoldPredicted:
    """Train on the other folds, and predict the objects of this one.

    Uses one thread of the linear algebra libraries: these matrices are small, and several threads that wait for each
    other are many times slower. Whoever has several cores predicts several folds at the same time.
    """
    training_M, test_M = list(folds_of(objects, validation.folds))[fold]
    dimensions = objects.loc_NKZ.shape[2]
    with threadpool_limits(1):
        fitted, matched_M = _train(probe, objects, factors, validation, training_M, test_M)
        values = {each.factor.name: _predictions(each, objects, matched_M, test_M) for each in fitted}
    importance_ZF = np.empty((dimensions, 0))
    if probe == "forest":
        importance_ZF = np.stack([importances(each, dimensions) for each in fitted], 1)
    return FoldPredicted(values, matched_M[test_M], importance_ZF)


def combined(probe: Probe, parts: Sequence[FoldPredicted], objects: Objects, validation: CrossValidation) -> Predicted:
    """The predictions of all folds, which are in their order."""
    values = {name: np.empty(len(objects)) for name in parts[0].values}
    slot_M = objects.slot_M.copy()
    importance_ZF = np.zeros(parts[0].importance_ZF.shape)
    for part, (_, test_M) in zip(parts, folds_of(objects, validation.folds), strict=True):
        slot_M[test_M] = part.slot_R
        for name, value_R in part.values.items():
            values[name][test_M] = value_R
        importance_ZF += part.importance_ZF / validation.folds
    return Predicted(values, slot_M, importance_ZF if probe == "forest" else None)


def baselines(objects: Objects, factors: Sequence[Factor], folds: int) -> dict[str, Floats64]:
    """The mean or most frequent class of the training folds, for every object, ``float64[M]`` by factor."""
    values = {factor.name: np.empty(len(objects)) for factor in factors}
    for training_M, test_M in folds_of(objects, folds):
        for factor in factors:
            values[factor.name][test_M] = baseline_of(factor, factor.values[training_M])
    return values


def _train(
    probe: Probe,
    objects: Objects,
    factors: Sequence[Factor],
    validation: CrossValidation,
    training_M: Bools,
    test_M: Bools,
) -> tuple[list[Fitted], NDArray[np.int64]]:
    """Probes of all factors, and the slot matched to each object of both sides."""
    slot_M = objects.slot_M
    fitted = _fit(probe, objects, factors, validation.seed, training_M, slot_M)
    if validation.match == "mask":
        return fitted, slot_M
    for _ in range(validation.rounds):
        slot_M = by_loss(fitted, objects, training_M)
        fitted = _fit(probe, objects, factors, validation.seed, training_M, slot_M)
    return fitted, by_loss(fitted, objects, test_M)


def _fit(
    probe: Probe,
    objects: Objects,
    factors: Sequence[Factor],
    seed: int,
    training_M: Bools,
    slot_M: NDArray[np.int64],
) -> list[Fitted]:
    rows = np.flatnonzero(training_M & (slot_M >= 0))
    inputs_RZ = objects.loc_NKZ[objects.scene_M[rows], slot_M[rows]]
    return [
        fit(probe, factor, inputs_RZ, factor.values[rows], baseline_of(factor, factor.values[training_M]), seed)
        for factor in factors
    ]


def _predictions(fitted: Fitted, objects: Objects, slot_M: NDArray[np.int64], test_M: Bools) -> Floats64:
    """For test objects; one without a slot gets the baseline, so that missing objects never improves a score."""
    rows = np.flatnonzero(test_M)
    seen = slot_M[rows] >= 0
    predicted = np.full(len(rows), fitted.baseline)
    some = rows[seen]
    predicted[seen] = fitted.predict(objects.loc_NKZ[objects.scene_M[some], slot_M[some]])
    return predicted


def by_loss(fitted: Sequence[Fitted], objects: Objects, wanted_M: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The slots of all ``wanted`` objects, ``int64[M]``, such that each scene's sum of losses is least; −1 for none.

    The loss is summed over factors: for numbers the squared error over the training objects' variance, for classes the
    negative log-probability of the true class. Objects that are not wanted keep their match by mask.

    This is the 'loss matching' of Dittadi et al. 2022. It uses the true factors, of test objects too: the score shows
    how much the latents contain if the right slot were known; do not compare it with a match by mask.
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
