"""Intervals against scipy's own, against quantiles of resamples drawn here, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from iodine_kit.evaluation import bootstrap


def scores(scenes: int = 60, columns: int = 3) -> np.ndarray:
    return np.random.default_rng(5).beta(5, 1, (scenes, columns))


def test_intervals_are_those_of_scipy_for_every_column_alone() -> None:
    values = scores()
    found = bootstrap.mean_intervals(values, resamples=500, level=0.9, seed=3)
    for column, interval in zip(values.T, found, strict=True):
        theirs = stats.bootstrap(
            (column,), np.mean, n_resamples=500, confidence_level=0.9, method="percentile",
            random_state=np.random.default_rng(3),
        )  # fmt: skip
        np.testing.assert_allclose(interval, theirs.confidence_interval, rtol=1e-12)


def test_undefined_scenes_are_drawn_and_omitted_from_the_mean_as_by_nanmean() -> None:
    values = scores()
    values[::4, 1] = np.nan
    values[:, 2] = np.nan
    values[7, 2] = 0.5
    sums, weights = bootstrap.parts(values)
    found = bootstrap.distribution(sums[:, :2], weights[:, :2], resamples=200, seed=11)
    drawn = np.random.default_rng(11).integers(0, len(values), (200, len(values)))
    np.testing.assert_allclose(found, np.nanmean(values[:, :2][drawn], 1).T, rtol=1e-12)
    intervals = bootstrap.mean_intervals(values, resamples=200, level=0.95, seed=11)
    np.testing.assert_allclose(intervals[:2], np.quantile(found, [0.025, 0.975], axis=1).T)
    assert np.isnan(intervals[2]).all()  # one scene tells nothing of others


def test_means_over_objects_resample_scenes_because_objects_of_a_scene_belong_together() -> None:
    rng = np.random.default_rng(2)
    objects = rng.integers(0, 4, 50)
    ious = [rng.random(count) for count in objects]
    sums = np.array([[iou.sum()] for iou in ious])
    found = bootstrap.distribution(sums, objects[:, None].astype(float), resamples=100, seed=0)
    drawn = np.random.default_rng(0).integers(0, 50, (100, 50))
    np.testing.assert_allclose(found[0], [np.concatenate([ious[i] for i in row]).mean() for row in drawn])


def test_equal_scores_have_an_interval_of_no_width() -> None:
    np.testing.assert_allclose(bootstrap.mean_intervals(np.full((9, 1), 0.75), resamples=50, level=0.95, seed=0), 0.75)


@pytest.mark.parametrize("shape", [(0, 2), (1, 2)])
def test_too_few_scenes_have_no_interval(shape: tuple[int, int]) -> None:
    assert np.isnan(bootstrap.mean_intervals(np.ones(shape), resamples=50, level=0.95, seed=0)).all()


def test_no_resamples_give_no_interval() -> None:
    assert np.isnan(bootstrap.mean_intervals(scores(), resamples=0, level=0.95, seed=0)).all()


def test_the_result_does_not_depend_on_how_many_resamples_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap.mean_intervals(scores(), resamples=100, level=0.95, seed=1)
    monkeypatch.setattr(bootstrap, "_BATCH_BYTES", 24 * 60 * 7)
    np.testing.assert_allclose(bootstrap.mean_intervals(scores(), resamples=100, level=0.95, seed=1), whole, rtol=1e-12)


@given(st.lists(st.floats(-1, 1) | st.just(float("nan")), min_size=2, max_size=30))
def test_an_interval_lies_within_the_scores(values: list[float]) -> None:
    column = np.array(values)[:, None]
    (low, high), *_ = bootstrap.mean_intervals(column, resamples=20, level=0.9, seed=0)
    if np.isfinite(column).sum() > 1:
        assert np.nanmin(column) - 1e-9 <= low <= high <= np.nanmax(column) + 1e-9
    else:
        assert np.isnan(low) and np.isnan(high)
