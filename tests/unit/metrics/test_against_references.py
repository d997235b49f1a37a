"""Metrics of masks beside implementations that share nothing with them, on more than a thousand scenes each."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score
from unit.metrics import reference
from unit.metrics.scenes import Masks, masks

from iodine_kit.metrics import MetricOptions, boundary_f, miou

NAMES = ["miou", "miou_fg", "dice", "recovery", "mbo", "sc", "msc", "sc_fg", "count_accuracy", "ap"]


def agrees(score: float, answers: set[float]) -> bool:
    """Whether it is one of the right answers: several if several matchings are as good."""
    return any(
        math.isclose(score, answer, abs_tol=1e-12) or (score != score and answer != answer) for answer in answers
    )


@pytest.mark.parametrize("name", NAMES)
@given(case=masks())
@settings(max_examples=150, deadline=None)
def test_a_metric_computes_what_its_convention_states(name: str, case: Masks) -> None:
    scores = importlib.import_module(f"iodine_kit.metrics.{name}").score(case.comparison()).values
    expected = getattr(reference, name)
    for score, (true, predicted) in zip(scores, case, strict=True):
        answers = expected(true, predicted, case.background)
        assert agrees(score, answers), (score, answers, true, predicted)


@given(case=masks(), tolerance=st.sampled_from([0.0, 0.008, 0.2, 0.35]))
@settings(max_examples=150, deadline=None)
def test_boundaries_agree_as_in_davis(case: Masks, tolerance: float) -> None:
    scores = boundary_f.score(case.comparison(MetricOptions(tolerance=tolerance))).values
    for score, (true, predicted) in zip(scores, case, strict=True):
        answers = reference.boundary_f(true, predicted, case.background, tolerance)
        assert agrees(score, answers), (score, answers, true, predicted)


@given(case=masks())
@settings(max_examples=30, deadline=None)
def test_the_iou_of_a_matched_object_is_scikit_learn_s_jaccard_score(case: Masks) -> None:
    comparison = case.comparison()
    for scene, row in np.argwhere(comparison.match_BN >= 0):
        true = case.true[scene] == row - 1
        predicted = case.predicted[scene] == comparison.match_BN[scene, row]
        expected = jaccard_score(true.ravel(), predicted.ravel())
        assert comparison.matched_iou_BN[scene, row] == pytest.approx(expected, abs=1e-12)
        assert comparison.best_iou_BN[scene, row] >= comparison.matched_iou_BN[scene, row]


def test_boundaries_of_more_objects_than_a_byte_has_bits() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.permuted(np.arange(81) % 20, axis=None).reshape(1, 9, 9)
    true = coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)
    predicted = np.where(rng.random(true.shape) < 0.05, 21, true).astype(np.uint8)
    case = Masks(true, predicted, (0,))
    comparison = case.comparison()
    np.testing.assert_array_equal(comparison.match_BN[:, 2:], [np.arange(1, 20)])  # as the loop below has it
    for score, (t, p) in zip(boundary_f.score(comparison).values, case, strict=True):
        of_each = [reference.boundary_f(np.where(t == i, 1, 0), np.where(p == i, 1, 0), (0,)) for i in range(1, 20)]
        assert score == pytest.approx(np.mean([answer for answers in of_each for answer in answers]), abs=1e-12)
    assert (miou.score(comparison).values > 0.8).all()
