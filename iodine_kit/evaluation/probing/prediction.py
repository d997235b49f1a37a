"""Probes trained and tested across folds of scenes: every object is predicted by probes that never saw its scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation.probing.estimators import Fitted, Probe, baseline_of, fit, importances
from iodine_kit.evaluation.probing.factors import Factor
from iodine_kit.evaluation.probing.matching import by_loss
from iodine_kit.evaluation.probing.objects import Objects
from iodine_kit.progress import Advance
from iodine_kit.records import Floats64

Match = Literal["mask", "loss"]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Course:
    """How probes are trained and tested.

    Attributes:
        rounds: of a match by loss, how often slots are matched anew.
    """

    folds: int
    seed: int
    match: Match = "mask"
    rounds: int = 3


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a kind of probe says of each of M objects.

    Attributes:
        values: ``float64[M]`` by factor.
        slot_M: the slot it was read from, −1 where there was none and the baseline is said.
        importance_ZF: of latent dimensions for factors, mean over folds; of forests only.
    """

    values: dict[str, Floats64]
    slot_M: NDArray[np.int64]
    importance_ZF: Floats64 | None = None


def folds_of(objects: Objects, folds: int) -> Iterator[tuple[Bools, Bools]]:
    """Which objects train and which are tested, by fold; a scene is on one side only."""
    from sklearn.model_selection import GroupKFold

    rows = np.zeros((len(objects), 1))
    for training, test in GroupKFold(folds).split(rows, groups=objects.scene_M):
        sides = np.zeros((2, len(objects)), bool)
        sides[0, training] = sides[1, test] = True
        yield sides[0], sides[1]


def predict(probe: Probe, objects: Objects, factors: Sequence[Factor], course: Course, advance: Advance) -> Predicted:
    """Predict every factor of every object out of fold; ``advance`` is told of each fold."""
    values = {factor.name: np.empty(len(objects)) for factor in factors}
    slot_M = objects.slot_M.copy()
    dimensions = objects.loc_NKZ.shape[2]
    importance_ZF = np.zeros((dimensions, len(factors)))
    for training_M, test_M in folds_of(objects, course.folds):
        fitted, matched_M = _train(probe, objects, factors, course, training_M, test_M)
        slot_M[test_M] = matched_M[test_M]
        for each in fitted:
            values[each.factor.name][test_M] = _say(each, objects, matched_M, test_M)
        if probe == "forest":
            importance_ZF += np.stack([importances(each, dimensions) for each in fitted], 1) / course.folds
        advance(1)
    return Predicted(values, slot_M, importance_ZF if probe == "forest" else None)


def baselines(objects: Objects, factors: Sequence[Factor], folds: int) -> dict[str, Floats64]:
    """What the training folds' mean or most frequent class says of every object, ``float64[M]`` by factor."""
    values = {factor.name: np.empty(len(objects)) for factor in factors}
    for training_M, test_M in folds_of(objects, folds):
        for factor in factors:
            values[factor.name][test_M] = baseline_of(factor, factor.values[training_M])
    return values


def _train(
    probe: Probe, objects: Objects, factors: Sequence[Factor], course: Course, training_M: Bools, test_M: Bools
) -> tuple[list[Fitted], NDArray[np.int64]]:
    """Probes of all factors, and the slots that objects were matched to, of both sides."""
    slot_M = objects.slot_M
    fitted = _fit(probe, objects, factors, course.seed, training_M, slot_M)
    if course.match == "mask":
        return fitted, slot_M
    for _ in range(course.rounds):
        slot_M = by_loss(fitted, objects, training_M)
        fitted = _fit(probe, objects, factors, course.seed, training_M, slot_M)
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


def _say(fitted: Fitted, objects: Objects, slot_M: NDArray[np.int64], test_M: Bools) -> Floats64:
    """Of test objects; one without a slot is told by the baseline, so that leaving objects unfound never helps."""
    rows = np.flatnonzero(test_M)
    seen = slot_M[rows] >= 0
    said = np.full(len(rows), fitted.baseline)
    some = rows[seen]
    said[seen] = fitted.predict(objects.loc_NKZ[objects.scene_M[some], slot_M[some]])
    return said
