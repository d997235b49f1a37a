from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import adjusted_rand_score
from unit.metrics.scenes import Masks, masks

from iodine_kit.metrics import Comparison, ari, ari_all
from iodine_kit.records import PredictionBatch, SceneBatch

labels = st.integers(1, 5)


def foreground_ari(true: object, predicted: object, background: tuple[int, ...] = (0,)) -> float:
    """Of one image, given as rows of labels."""
    return score(ari, np.array([true], np.uint8), np.array([predicted], np.uint8), background)[0]


def score(metric: object, true: np.ndarray, predicted: np.ndarray, background: tuple[int, ...] = (0,)) -> np.ndarray:
    keys = tuple(map(str, range(len(true))))
    truth = SceneBatch(keys, np.zeros((*true.shape, 3), np.uint8), true)
    comparison = Comparison(truth, PredictionBatch(keys, predicted), background)
    return metric.score(comparison).values  # type: ignore[attr-defined, no-any-return]


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)))
    true, predicted = (draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, draw(labels)))) for _ in range(2))
    return true, predicted


@given(masks())
@settings(max_examples=100, deadline=None)
def test_foreground_ari_is_scikit_learn_s_over_the_foreground_pixels(case: Masks) -> None:
    for one, (t, p) in zip(ari.score(case.comparison()).values, case, strict=True):
        inside = ~np.isin(t, case.background)
        if inside.any():
            assert one == pytest.approx(adjusted_rand_score(t[inside], p[inside]), abs=1e-12)
        else:
            assert np.isnan(one)


@given(masks())
@settings(max_examples=100, deadline=None)
def test_ari_over_all_pixels_is_scikit_learn_s(case: Masks) -> None:
    for one, (t, p) in zip(ari_all.score(case.comparison()).values, case, strict=True):
        merged = np.where(np.isin(t, case.background), 255, t)
        assert one == pytest.approx(adjusted_rand_score(merged.ravel(), p.ravel()), abs=1e-12)


@given(mask_pairs(), st.permutations(range(6)))
def test_the_names_of_slots_do_not_matter(pair: tuple[np.ndarray, np.ndarray], names: list[int]) -> None:
    true, predicted = pair
    renamed = np.array(names, np.uint8)[predicted]
    np.testing.assert_array_equal(score(ari, true, predicted), score(ari, true, renamed))


@given(mask_pairs())
def test_the_prediction_on_the_background_does_not_matter(pair: tuple[np.ndarray, np.ndarray]) -> None:
    true, predicted = pair
    other = np.where(true == 0, 5 - predicted, predicted)
    np.testing.assert_array_equal(score(ari, true, predicted), score(ari, true, other.astype(np.uint8)))


def test_large_masks_are_counted_exactly() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 7, (2, 3, 240, 320), dtype=np.uint8)
    for one, t, p in zip(score(ari, true, predicted), true, predicted, strict=True):
        assert one == pytest.approx(adjusted_rand_score(t[t > 0], p[t > 0]), abs=1e-12)


# The one documented answer for each degenerate case.
@pytest.mark.parametrize(
    ("case", "true", "predicted", "answer"),
    [
        ("one object, in one slot", [0, 1, 1, 1], [3, 2, 2, 2], 1.0),
        ("one object, split over slots", [0, 1, 1, 1], [0, 2, 2, 3], 0.0),
        ("two objects, in one slot", [1, 1, 2, 2], [4, 4, 4, 4], 0.0),
        ("one object of one pixel", [0, 0, 1, 0], [0, 1, 2, 3], 1.0),
        ("every pixel its own object and slot", [1, 2, 3, 4], [3, 2, 1, 0], 1.0),
        ("background split, objects right", [0, 0, 1, 2], [0, 3, 1, 2], 1.0),
        ("worse than chance", [1, 1, 2, 2], [0, 1, 0, 1], -0.5),
    ],
)
def test_degenerate_scenes(case: str, true: list[int], predicted: list[int], answer: float) -> None:
    assert foreground_ari([true], [predicted]) == pytest.approx(answer, abs=1e-12), case


def test_without_foreground_the_score_is_undefined_not_a_number_that_counts() -> None:
    assert np.isnan(foreground_ari([[0, 0]], [[1, 2]]))
    assert np.isnan(foreground_ari([[0, 3]], [[1, 2]], background=(0, 3)))


def test_all_background_indices_are_omitted() -> None:
    true, predicted = [[0, 1, 2, 2, 3, 3]], [[5, 6, 1, 1, 2, 2]]
    assert foreground_ari(true, predicted, background=(0, 1)) == 1.0
    assert foreground_ari(true, predicted) == pytest.approx(adjusted_rand_score([1, 2, 2, 3, 3], [6, 1, 1, 2, 2]))
