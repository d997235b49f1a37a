"""Scores of arrays: the same as scikit-learn's, whatever the type, and a scorer that can be used again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from iodine_kit.errors import UnknownNameError
from iodine_kit.evaluation.mask_size import Resolution
from iodine_kit.evaluation.scoring import Scorer, score_masks
from iodine_kit.metrics import METRICS, MetricOptions, Scores
from iodine_kit.records import PredictionBatch, SceneBatch

RNG = np.random.default_rng(3)
TRUE, PREDICTED = RNG.integers(0, 4, (5, 9, 7)), RNG.integers(0, 3, (5, 9, 7))


def test_masks_as_arrays_are_scored_like_scikit_learn() -> None:
    found = score_masks(TRUE, PREDICTED, ("ari", "ari-all"), background=(0, 2))
    merged = np.where(TRUE == 2, 0, TRUE)
    for scene, (true, predicted) in enumerate(zip(merged, PREDICTED, strict=True)):
        assert found["ari"].values[scene] == pytest.approx(adjusted_rand_score(true[true > 0], predicted[true > 0]))
        assert found["ari-all"].values[scene] == pytest.approx(adjusted_rand_score(true.ravel(), predicted.ravel()))


def test_options_decide_degenerate_scenes_and_flags_mark_them() -> None:
    nothing = np.zeros((2, 4, 4), np.int64)
    for convention, score in (("ones", 1.0), ("exclude", np.nan)):
        found = score_masks(nothing, nothing, options=MetricOptions(convention))["ari"]  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.values, [score, score])
        assert found.degenerate is not None and found.degenerate.all()


def test_no_metric_scores_a_scene_in_which_nobody_knows_an_object() -> None:
    everywhere_1 = SimpleNamespace(NEEDS=None, score=lambda comparison: Scores(np.ones(len(comparison))))
    true = np.zeros((3, 4, 4), np.uint8)
    true[0, 0], true[1, 0], true[1:, 1] = 255, 255, 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METRICS._loaded, "lab.ones", everywhere_1)
        found = score_masks(true, true, ("lab.ones",), ignored=255)["lab.ones"].values
    np.testing.assert_array_equal(found, [np.nan, 1, 1])


def test_metrics_of_images_need_images() -> None:
    image, drawn = np.full((5, 9, 7, 3), 51, np.uint8), np.full((5, 9, 7, 3), 0.4, np.float32)
    found = score_masks(TRUE, PREDICTED, ("mse",), image=image, fields={"reconstruction": drawn})
    np.testing.assert_allclose(found["mse"].values, 0.04, rtol=1e-6)
    with pytest.raises(ValueError, match=r"^metrics: 'mse' needs fields\['reconstruction'\], which was not given$"):
        score_masks(TRUE, PREDICTED, ("mse",), image=image)
    with pytest.raises(ValueError, match=r"^metrics: 'mse' needs image, which was not given$"):
        score_masks(TRUE, PREDICTED, ("mse",), fields={"reconstruction": drawn})


def test_an_argument_that_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"^predicted has shape \[5, 7, 9\], and truth \[5, 9, 7\]$"):
        score_masks(TRUE, PREDICTED.swapaxes(1, 2))
    with pytest.raises(ValueError, match=r"^truth is float64, not integers"):
        score_masks(TRUE.astype(float), PREDICTED)
    with pytest.raises(UnknownNameError, match="did you mean 'ari'"):
        score_masks(TRUE, PREDICTED, ("arri",))


def test_a_second_run_of_a_scorer_does_not_add_to_the_first() -> None:
    keys = tuple("abcde")
    truth = SceneBatch(keys, np.zeros((5, 9, 7, 3), np.uint8), TRUE.astype(np.uint8))
    batches = [(truth, PredictionBatch(keys, PREDICTED.astype(np.uint8)))]
    resolution = Resolution((9, 7), (9, 7), (9, 7))
    scorer = Scorer({"ari": METRICS.load("ari")}, MetricOptions(), resolution, (0,))
    first, second = (scorer.score(batches, "here", lambda count: None) for _ in range(2))
    assert first.keys == second.keys == list(keys)
    np.testing.assert_array_equal(first.values["ari"], second.values["ari"])
    assert len(second.table["scene"]) == len(first.table["scene"]) == first.objects.sum()
