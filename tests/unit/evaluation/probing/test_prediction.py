"""Probes across folds, against scikit-learn called directly and worlds whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold
from unit.evaluation.probing.scenes import ROOM, made

from iodine_kit.evaluation.bootstrap import Resampling
from iodine_kit.evaluation.probing.factors import Factor
from iodine_kit.evaluation.probing.objects import Objects
from iodine_kit.evaluation.probing.prediction import CrossValidation, Match, baselines, folds_of, predict
from iodine_kit.evaluation.probing.scores import score, scores

VALIDATION = CrossValidation(folds=5, seed=0)


def nothing(_: int) -> None:
    """Nobody watches."""


def known(objects: Objects, *, noise: float = 0.1, power: int = 1) -> Factor:
    """A factor that is the (power of the) first latent dimension of its object's slot, and noise."""
    first = objects.loc_NKZ[objects.scene_M, objects.slot_M, 0]
    return Factor("size", "number", first**power + noise * np.random.default_rng(1).normal(size=len(first)))


def test_the_linear_probe_is_ridge_regression_within_folds_of_scenes() -> None:
    objects = made(60, 3).gathered()
    factor = known(objects, noise=0.5)
    inputs = objects.loc_NKZ[objects.scene_M, objects.slot_M]
    said = np.empty(len(objects))
    for training, test in GroupKFold(5).split(inputs, groups=objects.scene_M):
        mean, deviation = inputs[training].mean(0), inputs[training].std(0)
        centre, width = factor.values[training].mean(), factor.values[training].std()
        ridge = Ridge(alpha=1.0).fit((inputs[training] - mean) / deviation, (factor.values[training] - centre) / width)
        said[test] = centre + width * ridge.predict((inputs[test] - mean) / deviation)
    found = predict("linear", objects, [factor], VALIDATION, nothing).values["size"]
    assert_allclose(found, said, rtol=1e-6)
    assert score(factor, found) == pytest.approx(r2_score(factor.values, said))


def test_no_scene_trains_and_tests_and_every_object_is_tested_once() -> None:
    objects = made(31, 2).gathered()
    tested = np.zeros(len(objects), int)
    for training, test in folds_of(objects, 5):
        assert not set(objects.scene_M[training]) & set(objects.scene_M[test]) and (training ^ test).all()
        tested += test
    assert (tested == 1).all()


def test_the_mlp_finds_nonlinear_factors_and_both_probes_find_classes() -> None:
    objects = made(100, 3).gathered()
    square = known(objects, power=2)
    sides = Factor("side", "class", (known(objects, noise=0).values > 0).astype(np.int64), 2)
    linear, mlp = (predict(probe, objects, [square, sides], VALIDATION, nothing).values for probe in ("linear", "mlp"))
    assert score(square, linear["size"]) < 0.2 < 0.8 < score(square, mlp["size"])
    assert min(score(sides, linear["side"]), score(sides, mlp["side"])) > 0.93
    base = baselines(objects, [square, sides], 5)
    assert -0.1 < score(square, base["size"]) <= 0 and score(sides, base["side"]) < 0.6


@pytest.mark.parametrize("probe", ["linear", "mlp"])
def test_predictions_repeat(probe: str) -> None:
    objects = made(20, 2).gathered()
    first, second = (predict(probe, objects, [known(objects)], VALIDATION, nothing).values["size"] for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize("match", ["mask", "loss"])
def test_an_object_without_a_slot_gets_the_baseline_and_counts(match: Match) -> None:
    world = made(40, 2, counts=np.full(40, 2))
    world.guess[:] = np.where(world.mask == 2, world.slot_NE[:, 1, None, None], world.guess)  # 2 objects in 1 slot
    objects = world.gathered()
    if match == "loss":  # there is one slot only
        objects = replace(objects, loc_NKZ=objects.loc_NKZ[:, :1], slot_M=np.where(objects.slot_M < 0, -1, 0))
    assert (objects.slot_M < 0).sum() == 40
    factor = Factor("size", "number", objects.factors["size"].astype(np.float64))
    found = predict("linear", objects, [factor], replace(VALIDATION, match=match), nothing)
    lost = found.slot_M < 0
    assert lost.sum() == 40 and np.isfinite(found.values["size"]).all()
    assert len(np.unique(found.values["size"][lost])) <= 5, "one baseline for each fold"


def test_a_class_that_only_one_scene_has_is_no_obstacle() -> None:
    objects = made(20, 2).gathered()
    rare = Factor("kind", "class", (objects.scene_M == 0).astype(np.int64), 2)
    for probe in ("linear", "mlp", "forest"):
        assert score(rare, predict(probe, objects, [rare], VALIDATION, nothing).values["kind"]) > 0.8


def test_a_match_by_loss_mends_masks_that_name_wrong_slots() -> None:
    objects = made(80, 3, counts=np.full(80, ROOM)).gathered()
    number = known(objects, noise=0.05)
    _, second, third = objects.loc_NKZ[objects.scene_M, objects.slot_M].T
    factors = [number, Factor("x", "number", second), Factor("kind", "class", (third > 0).astype(np.int64), 2)]
    wrong = objects.slot_M.copy()
    for scene in range(0, 80, 4):  # of every fourth scene the slots are passed on
        rows = np.flatnonzero(objects.scene_M == scene)
        wrong[rows] = np.roll(wrong[rows], 1)
    confused = replace(objects, slot_M=wrong)
    by_mask = predict("linear", confused, factors, VALIDATION, nothing)
    by_loss = predict("linear", confused, factors, replace(VALIDATION, match="loss"), nothing)
    assert (by_mask.slot_M == wrong).all()
    assert (by_loss.slot_M == objects.slot_M).mean() > 0.97
    assert score(number, by_mask.values["size"]) < 0.8 < 0.95 < score(number, by_loss.values["size"])
    for scene in range(80):
        slots = by_loss.slot_M[objects.scene_M == scene]
        assert len(set(slots.tolist())) == ROOM, "no slot serves twice"


def test_intervals_are_those_of_a_plain_bootstrap_over_scenes() -> None:
    objects = made(40, 2).gathered()
    number, noise = known(objects), np.random.default_rng(2)
    said = number.values + noise.normal(size=len(objects))
    sides = Factor("side", "class", (number.values > 0).astype(np.int64), 2)
    right = np.where(noise.random(len(objects)) < 0.7, sides.values, 1 - sides.values).astype(np.float64)
    found = scores([(number, said), (sides, right)], objects.scene_M, Resampling(4000, 0.9, 0))
    rows = [np.flatnonzero(objects.scene_M == scene) for scene in range(40)]
    drawn = [np.concatenate([rows[i] for i in noise.integers(0, 40, 40)]) for _ in range(4000)]
    plain = [[r2_score(number.values[d], said[d]) for d in drawn], [(sides.values == right)[d].mean() for d in drawn]]
    for one, resampled in zip(found, plain, strict=True):
        assert_allclose(one.interval, np.quantile(resampled, [0.05, 0.95]), atol=0.03)
    assert scores([(number, said)], objects.scene_M, Resampling(0, 0.9, 0))[0].interval is None
