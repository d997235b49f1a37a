"""Counting, matching, and that names of slots, empty ones, and how many scenes come together change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from unit.metrics import reference
from unit.metrics.scenes import Masks, compare, masks

from iodine_kit.metrics import METRICS, Comparison, MetricOptions, ari, miou
from iodine_kit.metrics._contingency import count
from iodine_kit.records import PredictionBatch, SceneBatch

OF_MASKS = [name for name in METRICS.built_in() if METRICS.load(name).NEEDS is None]


def scores(name: str, comparison: Comparison) -> np.ndarray:
    return METRICS.load(name).score(comparison).values


def one_way_to_match(case: Masks) -> bool:
    """Whether no scene has two best matchings, between which names of slots may well decide."""
    return all(
        len(list(reference.best_matchings(things, list(reference.pixels_by_label(predicted).values())))) == 1
        for true, predicted in case
        if (things := reference.objects(true, case.background))
    )


@given(masks())
@settings(max_examples=100, deadline=None)
def test_the_table_counts_every_pixel(case: Masks) -> None:
    comparison = case.comparison()
    for table, (true, predicted) in zip(comparison.table_BNK, case, strict=True):
        expected = np.zeros_like(table)
        for label, slot in zip(true.ravel().tolist(), predicted.ravel().tolist(), strict=True):
            expected[0 if label in case.background else label + 1, slot] += 1
        np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize("noise", [0, 0.02, 0.3, 1])
@pytest.mark.parametrize("largest", [3, 12, 255])
def test_large_masks_are_counted_exactly_be_they_like_noise(noise: float, largest: int) -> None:
    rng = np.random.default_rng(largest)
    blocks = rng.integers(0, largest + 1, (2, 7, 8, 10)).repeat(16, 2).repeat(16, 3)
    true, slots = np.where(rng.random(blocks.shape) < noise, rng.integers(0, largest + 1, blocks.shape), blocks)
    table = count(true.astype(np.uint8), slots.astype(np.uint8), (0, largest))
    for one, t, s in zip(table, true, slots, strict=True):
        expected = np.zeros_like(one)
        np.add.at(expected, (np.where((t == 0) | (t == largest), 0, t + 1), s), 1)
        np.testing.assert_array_equal(one, expected)


@given(masks())
@settings(max_examples=100, deadline=None)
def test_matching_finds_the_largest_sum_and_gives_no_slot_twice(case: Masks) -> None:
    comparison = case.comparison()
    for scene, match_N in enumerate(comparison.match_BN):
        given_away = match_N[match_N >= 0].tolist()
        assert len(set(given_away)) == len(given_away)
        iou = comparison.iou_BNK[scene, 1:]
        found = np.nansum(comparison.matched_iou_BN[scene])
        assert found == pytest.approx(iou[linear_sum_assignment(-iou)].sum(), abs=1e-12)
        assert not (match_N >= 0)[~comparison.objects_BN[scene]].any()


@pytest.mark.parametrize("name", OF_MASKS)
@given(case=masks(), names=st.permutations(range(7)), shift=st.integers(0, 8))
@settings(max_examples=50, deadline=None)
def test_neither_the_names_of_slots_nor_empty_slots_matter(
    name: str, case: Masks, names: list[int], shift: int
) -> None:
    if name in ("dice", "recovery", "boundary-f") and not one_way_to_match(case):
        return
    renamed = Masks(case.true, (np.array(names)[case.predicted] + shift).astype(np.uint8), case.background)
    np.testing.assert_allclose(scores(name, renamed.comparison()), scores(name, case.comparison()), atol=1e-12)


@pytest.mark.parametrize("name", OF_MASKS)
@given(case=masks())
@settings(max_examples=20, deadline=None)
def test_a_scene_s_score_does_not_depend_on_the_scenes_beside_it(name: str, case: Masks) -> None:
    if name in ("dice", "recovery", "boundary-f") and not one_way_to_match(case):
        return
    alone = [scores(name, compare(t[None], p[None], case.background))[0] for t, p in case]
    np.testing.assert_allclose(scores(name, case.comparison()), alone, atol=1e-12)


@pytest.mark.parametrize("name", OF_MASKS)
def test_a_perfect_prediction_is_the_best_one(name: str) -> None:
    true = np.arange(6).repeat(24).reshape(1, 12, 12).astype(np.uint8)
    assert scores(name, compare(true, (5 - true).astype(np.uint8)))[0] == pytest.approx(1)


@pytest.mark.parametrize("name", OF_MASKS)
def test_a_single_slot_and_scenes_of_background_only(name: str) -> None:
    true = np.zeros((2, 6, 6), np.uint8)
    true[1, 1:3, 1:3] = 1
    for slots in (np.zeros_like(true), np.full_like(true, 255)):
        found = scores(name, compare(true, slots))
        assert found.shape == (2,)
        assert np.isfinite(found[1])


@pytest.mark.parametrize("name", OF_MASKS)
def test_labels_may_go_up_to_255_and_names_of_objects_do_not_matter(name: str) -> None:
    rng = np.random.default_rng(1)
    few = rng.integers(0, 5, (2, 6, 6)).repeat(3, 1).repeat(3, 2).astype(np.uint8)
    slots = np.where(rng.random(few.shape) < 0.1, 6, few).astype(np.uint8)
    many, many_slots = np.array([7, 0, 255, 254, 100], np.uint8)[few], (255 - slots).astype(np.uint8)
    expected = scores(name, compare(few, slots))
    np.testing.assert_allclose(scores(name, compare(many, many_slots, (7,))), expected, atol=1e-12)


@pytest.mark.parametrize("name", OF_MASKS)
def test_no_scenes_have_no_scores(name: str) -> None:
    none = np.zeros((0, 4, 4), np.uint8)
    assert scores(name, compare(none, none)).shape == (0,)


def test_several_background_indices_are_one_entity() -> None:
    true = np.array([[[0, 0, 3, 3, 1, 1, 2, 2]]], np.uint8)
    comparison = compare(true, true, (0, 3))
    assert comparison.pixels_BN.tolist() == [[4, 0, 2, 2, 0]]
    assert comparison.objects_BN.tolist() == [[False, False, True, True, False]]
    assert comparison.object_counts_B.tolist() == [2]
    assert compare(true, true, ()).object_counts_B.tolist() == [4]


def test_steps_are_scored_like_predictions_of_their_own() -> None:
    rng = np.random.default_rng(0)
    true, steps = rng.integers(0, 4, (3, 8, 8), np.uint8), rng.integers(0, 4, (3, 5, 8, 8), np.uint8)
    truth = SceneBatch(("a", "b", "c"), np.zeros((3, 8, 8, 3), np.uint8), true)
    prediction = PredictionBatch(truth.keys, steps[:, -1], step_mask=steps)
    options = MetricOptions("ones")
    found = list(Comparison(truth, prediction, (0, 1), options).steps())
    assert len(found) == 5
    for metric in (ari, miou):
        for step, mask in zip(found, steps.swapaxes(0, 1), strict=True):
            expected = metric.score(compare(true, mask, (0, 1), options)).values
            np.testing.assert_array_equal(metric.score(step).values, expected)
    assert list(compare(true, true).steps()) == []
