"""Pixels to ignore change no score: every metric beside references that see only the other pixels."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation
from skimage.metrics import mean_squared_error, structural_similarity
from skimage.morphology import disk
from sklearn.metrics import adjusted_rand_score
from unit.metrics import reference
from unit.metrics.scenes import Masks, masks
from unit.metrics.test_against_references import NAMES, agrees

from iodine_kit.metrics import DEGENERATE, METRICS, Comparison, MetricOptions, Scores, boundary_f, describe
from iodine_kit.records import Array, Bytes, Floats, PredictionBatch, SceneBatch

IGNORED = 255
ALL = METRICS.names()
LIKELIHOOD = ["elbo", "kl", "nll"]
OF_MASKS = [name for name in ALL if METRICS.load(name).NEEDS is None]
OF_PIXELS = [name for name in ALL if name not in LIKELIHOOD]


def compare(
    true: Bytes, predicted: Bytes, background: tuple[int, ...] = (0,), *, ignored: int | None = IGNORED,
    options: MetricOptions | None = None, seed: int = 0, guess: Floats | None = None,
) -> Comparison:  # fmt: skip
    """With images and all other fields that a metric may need; they depend on the seed alone."""
    rng = np.random.default_rng(seed)
    keys, shape = tuple(map(str, range(len(true)))), (*true.shape, 3)
    truth = SceneBatch(keys, rng.integers(0, 256, shape, np.uint8), true)
    of_steps = {name: rng.random((len(true), 2)) for name in LIKELIHOOD}
    guess = (truth.image / 255 + 0.1 * rng.normal(size=shape)).astype(np.float32) if guess is None else guess
    prediction = PredictionBatch(keys, predicted, reconstruction=guess, **of_steps)
    return Comparison(truth, prediction, background, options, ignored=ignored)


def scored(name: str, comparison: Comparison) -> Scores:
    return comparison.scores(METRICS.load(name))


@st.composite
def cases(draw: st.DrawFn, side: int = 8) -> Masks:
    """Scenes of which some pixels are ignored: none, a few, a part, or all."""
    case = draw(masks(side))
    rng = np.random.default_rng(draw(st.integers(0, 2**64 - 1)))
    share = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0], (len(case.true), 1, 1))
    true = case.true.copy()
    true[rng.random(true.shape) < share] = IGNORED
    return replace(case, true=true)


def kept(case: Masks) -> Iterator[tuple[Bytes, Bytes, bool]]:
    """The kept pixels of each scene in a row, an image like any other; and whether nobody knows of any object."""
    for true, predicted in case:
        inside = true != IGNORED
        none = not (inside & ~np.isin(true, case.background)).any()
        yield true[inside][None], predicted[inside][None], bool(none and not inside.all())


@pytest.mark.parametrize("name", NAMES)
@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_a_metric_of_masks_sees_only_the_other_pixels(name: str, case: Masks) -> None:
    scores = compare(*vars(case).values()).scores(importlib.import_module(f"iodine_kit.metrics.{name}")).values
    for score, (true, predicted, unknown) in zip(scores, kept(case), strict=True):
        answers = {math.nan} if unknown else getattr(reference, name)(true, predicted, case.background)
        assert agrees(score, answers), (score, answers, true, predicted)


@pytest.mark.parametrize("name", ["ari", "ari-all"])
@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_the_adjusted_rand_index_is_scikit_learn_s_of_the_other_pixels(name: str, case: Masks) -> None:
    scores = scored(name, compare(*vars(case).values()))
    assert scores.degenerate is not None
    for score, decided, (true, predicted, unknown) in zip(scores.values, scores.degenerate, kept(case), strict=True):
        foreground = ~np.isin(true, case.background)
        true = np.where(foreground, true, 254)
        if name == "ari":
            true, predicted = true[foreground], predicted[foreground]
        if unknown:
            assert math.isnan(score) and not decided
        elif not decided:
            assert score == pytest.approx(adjusted_rand_score(true.ravel(), predicted.ravel()), abs=1e-12)


def boundary_reference(true: Bytes, predicted: Bytes, background: tuple[int, ...], tolerance: float) -> set[float]:
    """Pixel by pixel, for each of the best matchings; NaN where no object has a boundary that counts."""
    height, width = true.shape
    near, inside = disk(math.ceil(tolerance * math.hypot(height, width))), true != IGNORED

    def boundary(mask: Array) -> Array:
        found = np.zeros(mask.shape, bool)
        for y, x in zip(*np.nonzero(inside), strict=True):
            square = [(y + i, x + j) for i in (0, 1) for j in (0, 1) if y + i < height and x + j < width]
            found[y, x] = len({bool(mask[place]) for place in square if inside[place]}) > 1
        return found

    ids = [int(label) for label in np.unique(true) if label not in (*background, IGNORED)]
    things = [frozenset(np.flatnonzero(true.ravel() == label).tolist()) for label in ids]
    slots = {
        int(slot): frozenset(np.flatnonzero((predicted == slot).ravel() & inside.ravel()).tolist())
        for slot in np.unique(predicted[inside])
    }
    answers = set()
    for way in reference.best_matchings(things, list(slots.values())):
        slot_of, figures = dict(way), []
        for number, label in enumerate(ids):
            of_object = boundary(true == label)
            if not of_object.any() and not inside.all():
                continue
            if number not in slot_of:
                figures.append(0.0)
                continue
            of_slot = boundary(predicted == list(slots)[slot_of[number]])
            if not of_object.any() or not of_slot.any():
                figures.append(float(not of_object.any() and not of_slot.any()))
                continue
            precision = (of_slot & binary_dilation(of_object, near)).sum() / of_slot.sum()
            recall = (of_object & binary_dilation(of_slot, near)).sum() / of_object.sum()
            figures.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
        answers.add(float(np.mean(figures)) if figures else math.nan)
    return answers


@given(case=cases(), tolerance=st.sampled_from([0.0, 0.008, 0.2]))
@settings(max_examples=60, deadline=None)
def test_boundaries_are_those_of_the_other_pixels(case: Masks, tolerance: float) -> None:
    scores = boundary_f.score(compare(*vars(case).values(), options=MetricOptions(tolerance=tolerance))).values
    for score, (true, predicted) in zip(scores, case, strict=True):
        answers = boundary_reference(true, predicted, case.background, tolerance)
        assert agrees(score, answers), (score, answers, true, predicted)


def test_the_error_is_the_mean_over_the_other_pixels_and_similarity_over_windows_of_them() -> None:
    rng = np.random.default_rng(3)
    true = (rng.random((4, 24, 30)) < 0.004).astype(np.uint8) * IGNORED
    true[1], true[2], true[2, 12:], true[3] = 0, 0, IGNORED, IGNORED
    comparison = compare(true, np.zeros_like(true))
    errors, similar = (scored(name, comparison).values for name in ("mse", "ssim"))
    for scene in range(3):
        image, guess = comparison.truth.image[scene] / 255, comparison.images[1][scene].astype(np.float64)
        inside = true[scene] != IGNORED
        assert errors[scene] == pytest.approx(mean_squared_error(image[inside], guess[inside]), rel=1e-12)
        _, local = structural_similarity(
            image, guess, data_range=1, channel_axis=-1, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True,
        )  # fmt: skip
        whole = np.zeros(inside.shape, bool)
        for y in range(5, 19):
            for x in range(5, 25):
                whole[y, x] = inside[y - 5 : y + 6, x - 5 : x + 6].all()
        assert whole.sum() > 0
        assert similar[scene] == pytest.approx(local[whole].mean(), abs=1e-9)
    assert np.isnan(errors[3]) and np.isnan(similar[3])


@pytest.mark.parametrize("name", ALL)
@given(case=cases(16), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_whatever_is_predicted_on_ignored_pixels_no_score_changes(name: str, case: Masks, seed: int) -> None:
    outside, rng = case.true == IGNORED, np.random.default_rng(seed)
    first = compare(*vars(case).values())
    predicted = np.where(outside, rng.integers(0, 9, case.true.shape, np.uint8), case.predicted)
    noise = rng.random((*case.true.shape, 3), np.float32)
    guess = np.where(outside[..., None], noise, first.images[1])
    other = compare(case.true, predicted, case.background, guess=guess)
    np.testing.assert_array_equal(scored(name, first).values, scored(name, other).values)


@pytest.mark.parametrize("side", ["bottom", "right", "top", "left"])
@pytest.mark.parametrize("name", OF_PIXELS)
def test_a_band_to_ignore_is_as_good_as_a_crop(name: str, side: str) -> None:
    rng = np.random.default_rng(7)
    true = np.zeros((6, 40, 44), np.uint8)
    for mask in true:
        for label in (1, 2, 3):
            y, x = rng.integers(0, (31, 35))  # some reach into the band
            mask[y : y + 9, x : x + 9] = label
    noise = np.linspace(0.01, 0.25, 6)[:, None, None]
    predicted = np.where(rng.random(true.shape) < noise, rng.integers(0, 4, true.shape), true).astype(np.uint8)
    crop = {"bottom": np.s_[:, :-4], "right": np.s_[:, :, :-4], "top": np.s_[:, 4:], "left": np.s_[:, :, 4:]}[side]
    banded = np.full_like(true, IGNORED)
    banded[crop] = true[crop]
    options = MetricOptions(tolerance=0.01)  # one pixel, of the image and of what the crop leaves of it
    whole = compare(banded, predicted, options=options)
    images = whole.truth.image[crop], whole.images[1][crop]
    cut = Comparison(
        SceneBatch(whole.truth.keys, images[0], true[crop]),
        PredictionBatch(whole.truth.keys, predicted[crop], reconstruction=images[1]), (0,), options,
    )  # fmt: skip
    expected = scored(name, cut).values
    assert np.isfinite(expected).all() and len(set(expected)) > 1
    np.testing.assert_allclose(scored(name, whole).values, expected, rtol=1e-12)


@pytest.mark.parametrize("convention", DEGENERATE)
@pytest.mark.parametrize("name", OF_PIXELS)
def test_a_scene_without_a_labelled_pixel_has_no_score(name: str, convention: str) -> None:
    true = np.full((2, 16, 16), IGNORED, np.uint8)
    options = MetricOptions(convention=convention)  # type: ignore[arg-type]
    assert np.isnan(scored(name, compare(true, np.zeros_like(true), options=options)).values).all()


@pytest.mark.parametrize("convention", DEGENERATE)
@pytest.mark.parametrize("name", OF_MASKS)
def test_a_scene_whose_objects_are_all_to_be_ignored_has_no_score(name: str, convention: str) -> None:
    true = np.zeros((1, 16, 16), np.uint8)
    true[0, 4:9, 4:9] = IGNORED
    options = MetricOptions(convention=convention)  # type: ignore[arg-type]
    for predicted in (np.zeros_like(true), (true > 0).astype(np.uint8)):
        assert np.isnan(scored(name, compare(true, predicted, options=options)).values).all()


@pytest.mark.parametrize("name", ALL)
@given(case=masks(16))
@settings(max_examples=25, deadline=None)
def test_scenes_without_such_pixels_score_as_before_bit_for_bit(name: str, case: Masks) -> None:
    plain, other = compare(*vars(case).values(), ignored=None), compare(*vars(case).values())
    assert scored(name, plain).values.tobytes() == scored(name, other).values.tobytes()


def test_without_pixels_to_ignore_255_is_an_entity() -> None:
    true = np.zeros((1, 4, 4), np.uint8)
    true[0, :2] = IGNORED
    comparison = compare(true, true // 255, ignored=None)
    assert comparison.object_counts_B.tolist() == [1] and scored("miou", comparison).values.tolist() == [1]


def test_another_number_can_mean_pixels_to_ignore() -> None:
    true = np.array([[[0, 0, 1, 1, 7, 7]]], np.uint8)
    predicted = np.array([[[0, 0, 1, 1, 0, 1]]], np.uint8)
    comparison = compare(true, predicted, ignored=7)
    assert comparison.ignored_pixels_B.tolist() == [2] and comparison.kept_BHW.sum() == 4
    assert scored("miou", comparison).values.tolist() == [1]
    assert next(iter([*comparison.steps(), comparison])).ignored == 7


@pytest.mark.parametrize(("ignored", "background"), [(0, (0,)), (255, (0, 255)), (256, (0,)), (-1, (0,))])
def test_an_id_that_cannot_mean_pixels_to_ignore_is_refused(ignored: int, background: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ignored"):
        compare(np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint8), background, ignored=ignored)


def test_the_masks_of_every_decode_ignore_the_same_pixels() -> None:
    true = np.array([[[1, 1, 2, 2, 255]]], np.uint8)
    steps = np.array([[[[0, 0, 1, 1, 0]], [[0, 0, 1, 1, 5]]]], np.uint8)
    prediction = PredictionBatch(("a",), steps[:, -1], step_mask=steps)
    comparison = Comparison(SceneBatch(("a",), np.zeros((1, 1, 5, 3), np.uint8), true), prediction, (0,), ignored=255)
    assert [METRICS.load("miou").score(step).values.tolist() for step in comparison.steps()] == [[1], [1]]


@pytest.mark.parametrize("name", ALL)
def test_the_convention_says_what_becomes_of_pixels_to_ignore_only_where_there_may_be_some(name: str) -> None:
    metric, options = METRICS.load(name), MetricOptions()
    plain, more = describe(metric, options), describe(metric, options, ignores=True)
    assert more.startswith(f"{plain} ") and "ignore" in more.removeprefix(plain)
    assert "to ignore" not in plain


def test_images_of_another_size_than_masks_with_pixels_to_ignore_are_refused() -> None:
    true = np.full((1, 4, 4), IGNORED, np.uint8)
    guess = np.zeros((1, 8, 8, 3), np.float32)
    truth = SceneBatch(("a",), np.zeros((1, 8, 8, 3), np.uint8), true)
    comparison = Comparison(truth, PredictionBatch(("a",), true, reconstruction=guess), (0,), ignored=IGNORED)
    with pytest.raises(ValueError, match=r"truth\.mask has shape \[1, 4, 4\].*images' size"):
        METRICS.load("mse").score(comparison)
