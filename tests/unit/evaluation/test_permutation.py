"""p-values against scipy's permutation test, exact and drawn, and against counting by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from iodine_kit.evaluation import comparison
from iodine_kit.evaluation.comparison import sign_flip_p


def theirs(values: np.ndarray, resamples: int) -> float:
    test = stats.permutation_test(
        (values,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=resamples, random_state=np.random.default_rng(0),
    )  # fmt: skip
    return float(test.pvalue)


def test_all_flips_of_few_scenes_are_counted_as_scipy_does() -> None:
    values = np.random.default_rng(1).normal(0.4, 1, (9, 4))
    exact = sign_flip_p(values, resamples=512, seed=0)
    np.testing.assert_allclose(exact, [theirs(column, 10_000) for column in values.T])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=7))
def test_exact_p_is_the_share_of_sign_patterns_that_reach_as_far(values: list[int]) -> None:
    sums = [abs(sum(s * v for s, v in zip(signs, values, strict=True)))
            for signs in itertools.product((1, -1), repeat=len(values))]  # fmt: skip
    expected = np.mean([total >= abs(sum(values)) for total in sums])
    assert sign_flip_p(np.array(values, float)[:, None], resamples=128, seed=0)[0] == pytest.approx(expected)


def test_drawn_flips_agree_with_scipy_and_the_normal_limit() -> None:
    values = np.random.default_rng(3).normal(0.12, 1, (300, 1))
    p = sign_flip_p(values, resamples=20_000, seed=0)[0]
    assert p == pytest.approx(theirs(values[:, 0], 20_000), abs=0.01)
    z = values.sum() / np.sqrt((values**2).sum())
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.01)


def test_p_is_never_zero_and_one_where_nothing_differs() -> None:
    values = np.stack([np.ones(200), np.zeros(200), np.full(200, np.nan)], 1)
    always, never, unknown = sign_flip_p(values, resamples=99, seed=0)
    assert always == 1 / 100 and never == 1 and np.isnan(unknown)


def test_scenes_without_a_difference_play_no_part() -> None:
    values = np.array([[0.5], [np.nan], [0.25], [np.nan], [0.125]])
    assert sign_flip_p(values, resamples=32, seed=0)[0] == sign_flip_p(values[::2], resamples=8, seed=0)[0] == 0.25


def test_the_result_does_not_depend_on_how_many_flips_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(0.1, 1, (50, 2))
    whole = sign_flip_p(values, resamples=400, seed=5)
    monkeypatch.setattr(comparison, "_BATCH_BYTES", 16 * 50 * 8)
    np.testing.assert_array_equal(sign_flip_p(values, resamples=400, seed=5), whole)
