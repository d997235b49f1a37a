"""Scenes whose adjusted Rand index is 0/0, by each convention; what other metrics say of scenes with little in them.

The table is what public implementations were seen to answer: DeepMind's function, EfficientMORL, and OCLF and
VideoSAUR, whose answers are those of ``ones``.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from unit.metrics.scenes import Masks, compare, masks, one

from iodine_kit.metrics import (
    DEGENERATE,
    METRICS,
    Convention,
    MetricOptions,
    ap,
    ari,
    ari_all,
    boundary_f,
    count_accuracy,
    describe,
    dice,
    mbo,
    miou,
    msc,
    recovery,
    sc,
    sc_fg,
)

NONE = np.zeros((16, 16), np.uint8)


def drawn(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A 16×16 mask with boxes of rows and columns, the first of them labelled 1."""
    mask = NONE.copy()
    for label, (top, bottom, left, right) in enumerate(boxes, 1):
        mask[top:bottom, left:right] = label
    return mask


ONE, PIXEL, TWO = drawn((2, 8, 2, 8)), drawn((5, 6, 5, 6)), drawn((2, 8, 2, 8), (9, 14, 9, 14))
PIXELS = drawn((1, 2, 1, 2), (3, 4, 3, 4))
HALVES, MERGED = drawn((2, 5, 2, 8), (5, 8, 2, 8)), np.minimum(TWO, 1)
SPLIT_BACKGROUND = np.where(TWO > 0, TWO, (np.arange(16) > 7) * 3)
NAN = math.nan
FOREGROUND_ARI = {  # deepmind, emorl, ones, exclude; and whether it is 0/0
    "one object, kept": (ONE, ONE, (NAN, 1, 1, 1), True),
    "no foreground": (NONE, ONE, (NAN, 0, 1, NAN), True),
    "one object of one pixel": (PIXEL, PIXEL, (NAN, 1, 1, 1), True),
    "one object of one pixel, missed": (PIXEL, NONE, (1, 1, 1, 1), True),  # the whole image in one slot
    "one object and all else in one slot": (ONE, NONE, (1, 1, 1, 1), True),
    "the second object alone and all else in one slot": (2 * ONE, NONE, (NAN, 1, 1, 1), True),
    "no foreground, one slot": (NONE, NONE + 3, (1, 0, 1, NAN), True),
    "one object that fills the image, one slot": (NONE + 2, NONE, (1, 1, 1, 1), True),
    "two objects of one pixel, kept": (PIXELS, PIXELS, (NAN, 1, 1, 1), True),
    "two objects of one pixel, merged": (PIXELS, NONE, (0, 0, 0, 0), False),
    "one object, split in two": (ONE, HALVES, (0, 0, 0, 0), False),
    "two objects, merged": (TWO, MERGED, (0, 0, 0, 0), False),
    "background split, objects right": (TWO, SPLIT_BACKGROUND, (1, 1, 1, 1), False),
}


@pytest.mark.parametrize("case", FOREGROUND_ARI)
@pytest.mark.parametrize("column", range(4))
def test_foreground_ari_of_degenerate_scenes(case: str, column: int) -> None:
    conventions: list[Convention] = ["deepmind", "emorl", "ones", "exclude"]
    true, predicted, answers, degenerate = FOREGROUND_ARI[case]
    score, decided = one(ari, true, predicted, MetricOptions(conventions[column]))
    assert score == pytest.approx(answers[column], abs=1e-12, nan_ok=True)
    assert decided == degenerate


def released(true: np.ndarray, predicted: np.ndarray, leave_out: int) -> float:
    """What DeepMind's function answers for one-hot masks without their first ``leave_out`` columns, written out."""
    true_PN = (true.reshape(-1, 1) == np.arange(8)).astype(np.float64)[:, leave_out:]
    slot_PK = (predicted.reshape(-1, 1) == np.arange(8)).astype(np.float64)
    table_KN = slot_PK.T @ true_PN
    pairs, in_true, in_slots = (
        (counts * (counts - 1)).sum() for counts in (table_KN, table_KN.sum(0), table_KN.sum(1))
    )
    points = np.float64(true_PN.sum())
    with np.errstate(invalid="ignore"):
        expected = in_true * in_slots / (points * (points - 1))
        index = (pairs - expected) / ((in_true + in_slots) / 2 - expected)
    alike = [len(np.unique(one_hot.argmax(1))) == 1 for one_hot in (true_PN, slot_PK)]
    return 1.0 if all(alike) else float(index)


@given(masks())
def test_the_convention_deepmind_is_what_its_function_answers(scenes: Masks) -> None:
    """Whole images in one slot included, which an image in three of four is made to be."""
    kept = np.arange(len(scenes.predicted)) % 4 == 0
    predicted = np.where(kept[:, None, None], scenes.predicted, scenes.predicted[:, :1, :1])
    comparison = compare(scenes.true, predicted, (0,), MetricOptions("deepmind"))
    for metric, leave_out in ((ari, 1), (ari_all, 0)):
        answers = [released(*pair, leave_out) for pair in zip(scenes.true, predicted, strict=True)]
        np.testing.assert_allclose(metric.score(comparison).values, answers, rtol=0, atol=1e-9)


def test_whether_a_scene_counts_depends_on_the_truth_alone_under_exclude_and_not_under_deepmind() -> None:
    """Left out when it is right and counted when it is wrong, a single object could only lower a mean."""
    assert [one(ari, ONE, guess, MetricOptions("exclude"))[0] for guess in (ONE, HALVES)] == [1, 0]
    assert [one(ari, ONE, guess, MetricOptions("deepmind"))[0] for guess in (ONE, HALVES)] == [
        pytest.approx(NAN, nan_ok=True),
        0,
    ]
    assert all(math.isnan(one(ari, NONE, guess, MetricOptions("exclude"))[0]) for guess in (NONE, ONE, HALVES))


@pytest.mark.parametrize(("convention", "answer"), [("deepmind", 1), ("emorl", 1), ("ones", 1), ("exclude", 1)])
def test_ari_over_all_pixels_of_an_empty_scene_in_one_slot(convention: Convention, answer: float) -> None:
    assert one(ari_all, NONE, NONE + 3, MetricOptions(convention)) == (pytest.approx(answer, nan_ok=True), True)
    assert one(ari_all, NONE, ONE, MetricOptions(convention)) == (0, False)


@pytest.mark.parametrize("metric", [miou, dice, recovery, mbo, sc_fg, boundary_f])
def test_without_objects_figures_of_objects_are_undefined(metric: ModuleType) -> None:
    score, decided = one(metric, NONE, ONE)
    assert math.isnan(score)
    assert not decided


@pytest.mark.parametrize("metric", [sc, msc])
def test_without_objects_coverings_are_of_the_background(metric: ModuleType) -> None:
    assert one(metric, NONE, NONE) == (1, False)
    assert one(metric, NONE, ONE)[0] == pytest.approx((256 - 36) / 256)


@pytest.mark.parametrize(
    ("true", "predicted", "precision", "count"),
    [
        (NONE, NONE, 1, 1),
        (NONE, ONE, 1, 1),  # that slot is all background, so it is no detection
        (ONE, NONE, 0, 0),  # and neither is one that holds everything
        (ONE, ONE, 1, 1),
        (TWO, MERGED, 0.1, 0),  # 36 of 61 pixels: one of two objects at 0.50 and 0.55
        (ONE, HALVES, 0.05, 0),  # two halves: one right at 0.50, the other left over
        (drawn((0, 16, 0, 16)), NONE, 1, 1),
    ],
)
def test_detections(true: np.ndarray, predicted: np.ndarray, precision: float, count: float) -> None:
    assert one(ap, true, predicted)[0] == pytest.approx(precision, abs=1e-12)
    assert one(count_accuracy, true, predicted) == (count, False)


def test_a_slot_half_on_background_is_a_detection_and_one_pixel_more_makes_it_none() -> None:
    assert one(count_accuracy, drawn((0, 4, 0, 4)), drawn((0, 4, 0, 8)))[0] == 1
    assert one(count_accuracy, drawn((0, 4, 0, 4)), np.maximum(drawn((0, 4, 0, 8)), drawn((4, 5, 0, 1))))[0] == 0


def test_ap_is_degenerate_only_where_there_is_nothing_to_detect_and_nothing_detected() -> None:
    assert [one(ap, true, NONE)[1] for true in (NONE, ONE)] == [True, False]


def test_an_object_that_fills_the_image_has_no_boundary() -> None:
    full = np.ones((16, 16), np.uint8)
    assert one(boundary_f, full, full * 4) == (1, True)
    assert one(boundary_f, full, TWO) == (0, False)
    assert one(boundary_f, TWO, full) == (0, False)


def test_the_boundary_s_tolerance_is_a_share_of_the_diagonal_rounded_up() -> None:
    """Boxes 3 pixels apart: beyond 2, within 3."""
    near, far = 2 / math.hypot(16, 16), 2.01 / math.hypot(16, 16)
    moved = drawn((2, 8, 5, 11))
    strict, lenient = (one(boundary_f, ONE, moved, MetricOptions(tolerance=share))[0] for share in (near, far))
    assert strict < lenient == 1


@pytest.mark.parametrize("name", METRICS.built_in())
@pytest.mark.parametrize("convention", DEGENERATE)
def test_every_convention_is_a_finished_sentence(name: str, convention: Convention) -> None:
    metric = METRICS.load(name)
    sentence = describe(metric, MetricOptions(convention, 0.0125))
    assert "{" not in sentence
    assert "  " not in sentence
    assert sentence.endswith(".")
    assert ("1.25 %" in sentence) == (name == "boundary-f")
    assert (DEGENERATE[convention] in sentence) == (name in ("ari", "ari-all"))
    assert metric.BETTER in ("higher", "lower")
    assert not metric.BY_STEP or metric.NEEDS is None


def test_degenerate_scenes_are_identified_within_a_batch() -> None:
    scores = ari.score(compare(np.stack([ONE, TWO, NONE]), np.stack([ONE, TWO, ONE])))
    assert scores.degenerate is not None
    assert scores.degenerate.tolist() == [True, False, True]
