"""Scores of arrays: against scikit-learn, against the stage eval, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

import iodine_kit as ik
from iodine_kit.api import scoring
from iodine_kit.predictions.file import PredictionReader
from iodine_kit.records import PredictionBatch
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import evaluate
from iodine_kit.store import Artifact, Store

DRAW = np.random.default_rng(0)
TRUE, MASK = DRAW.integers(0, 4, (5, 6, 8)), DRAW.integers(0, 3, (5, 6, 8))


def test_foreground_ari_is_that_of_scikit_learn_on_the_pixels_of_objects() -> None:
    expected = [adjusted_rand_score(true[true > 0], mask[true > 0]) for true, mask in zip(TRUE, MASK, strict=True)]
    scores = ik.score(TRUE, MASK)
    assert list(scores) == ["ari", "miou"] and scores["ari"].dtype == np.float64
    np.testing.assert_allclose(scores["ari"], expected, atol=1e-12)
    others = [adjusted_rand_score(true[true > 1], mask[true > 1]) for true, mask in zip(TRUE, MASK, strict=True)]
    np.testing.assert_allclose(ik.score(TRUE, MASK, "ari", background=(0, 1))["ari"], others, atol=1e-12)
    of_two = [adjusted_rand_score(true[true != 2], mask[true != 2]) for true, mask in zip(TRUE, MASK, strict=True)]
    np.testing.assert_allclose(ik.score(TRUE, MASK, "ari", background=2)["ari"], of_two, atol=1e-12)
    assert ik.evaluate(TRUE, MASK, "ari", background=2).metrics["ari"].mean == pytest.approx(np.mean(of_two))
    wrong: Any
    for wrong in (-1, 256, 0.5, "0", [[0]]):
        with pytest.raises(ValueError, match=r"^background: pass one integer or several, each in 0…255"):
            ik.score(TRUE, MASK, background=wrong)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64, np.uint16])
def test_any_type_of_integer_of_numpy_or_pytorch_scores_alike(dtype: Any) -> None:
    expected = ik.score(TRUE, MASK)["miou"]
    true, mask = TRUE.astype(dtype), MASK.astype(dtype)
    np.testing.assert_array_equal(ik.score(true, mask)["miou"], expected)
    if dtype is not np.uint16:
        np.testing.assert_array_equal(ik.score(torch.from_numpy(true), torch.from_numpy(mask))["miou"], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TRUE, MASK.transpose(0, 2, 1)), r"^predicted has shape \[5, 8, 6\], and truth \[5, 6, 8\]"),
        ((TRUE, MASK[:4]), r"^predicted has shape \[4, 6, 8\]"),
        ((TRUE[0], MASK[0]), r"^truth: the shape is \[6, 8\], expected \[B, H, W\]: for one mask, pass mask\[None\]"),
        ((TRUE, MASK.astype(float)), "^predicted is float64, not integers: take the arg max"),
        ((TRUE - 1, MASK), r"^truth has ids from -1 to 2"),
        ((TRUE, MASK, ("arii",)), "^metrics: no metric is called 'arii'; did you mean 'ari'"),
        ((TRUE, MASK, ("mse",)), "^metrics: 'mse' scores reconstruction, not masks: pass the segmentation to evaluate"),
        ((TRUE, MASK, ()), "^metrics: "),
    ],
)
def test_masks_and_metrics_that_do_not_fit_are_refused_by_name(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ik.score(*arguments)


def test_conventions_are_those_of_the_metrics() -> None:
    empty = np.zeros((1, 4, 4), int)
    assert (
        np.isnan(ik.score(empty, empty, "ari")["ari"]) and ik.score(empty, empty, "ari", convention="ones")["ari"] == 1
    )
    with pytest.raises(ValueError, match=r"^convention: .*'deepmind'"):
        ik.score(empty, empty, convention="mine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^tolerance: "):
        ik.score(empty, empty, tolerance=0)


def test_an_evaluation_is_that_of_the_stage_eval(squares: Artifact, trained: Artifact) -> None:
    predictions = ik.infer(trained, squares, {"infer.device": "cpu", "infer.steps": 2})
    tables = {"eval": {"metrics": ["all"], "resamples": 50, "seed": 3}}
    context = Context(Store.of(squares))
    artifact = run_stage(evaluate, tables, {"predictions": predictions, "dataset": squares}, context)
    data = ik.load_dataset(squares)
    mine = ik.evaluate(data, predictions, "all", resamples=50, seed=3)
    assert mine.facts.as_json() == artifact.facts
    segmentation = ik.load_model(trained, device="cpu").segment(data[:].image, steps=2)
    of_arrays = ik.evaluate(data[:], segmentation, "all", resamples=50, seed=3)
    assert of_arrays.metrics == mine.metrics and of_arrays.facts.dataset == ""
    of_first = ik.evaluate(data, segmentation.mask[:3], "ari", resamples=0)
    np.testing.assert_array_equal(of_first.scores["ari"], mine.scores["ari"][:3])


def test_an_evaluation_of_masks_has_means_intervals_and_conventions() -> None:
    evaluation = ik.evaluate(TRUE, MASK, "all")
    scores = ik.score(TRUE, MASK, "ari")["ari"]
    ari = evaluation.metrics["ari"]
    assert ari.mean == pytest.approx(scores.mean()) and ari.n == 5 and "Adjusted Rand index" in ari.convention
    assert ari.interval is not None and ari.interval[0] <= scores.mean() <= ari.interval[1]
    assert {"mse", "elbo"}.isdisjoint(evaluation.metrics)  # masks have no reconstruction and no likelihood
    np.testing.assert_array_equal(evaluation.scores["ari"], scores)


def test_an_evaluation_shows_itself_as_text_and_in_a_notebook() -> None:
    evaluation = ik.evaluate(TRUE, MASK, ("ari", "miou"), resamples=0)
    mean = f"{evaluation.metrics['ari'].mean:.4f}".replace("-", "−")
    assert repr(evaluation).startswith(f"Evaluation of 5 scenes: FG-ARI {mean}, mIoU 0.")
    assert f"| FG-ARI ↑ | {mean} |" in evaluation.table() and "Adjusted Rand" not in evaluation.table()
    assert "Adjusted Rand" in evaluation.table(definitions=True)
    assert evaluation.table("csv").startswith("metric,mean") and r"\toprule" in evaluation.table("latex")
    html = evaluation._repr_html_()
    assert f'<td class="figure">{mean}</td>' in html and "<details>" in html and "5 scenes at 6×8" in html
    with pytest.raises(ValueError, match=r"^format: 'html' is not one of"):
        evaluation.table("html")  # type: ignore[arg-type]


def test_predictions_of_other_scenes_are_refused_by_name(squares: Artifact, trained: Artifact) -> None:
    predictions = ik.infer(trained, squares, {"infer.device": "cpu", "infer.steps": 2})
    with pytest.raises(ValueError, match=r"^predictions: they are of split 'test', and truth is split 'train'"):
        ik.evaluate(ik.load_dataset(squares, "train"), predictions)
    with pytest.raises(ValueError, match=r"^predictions: scene 0 is 's12', and scene 0 of truth is 's0'"):
        ik.evaluate(ik.load_dataset(squares, "train")[:7], predictions)
    with pytest.raises(ValueError, match=r"^predictions: there are 8 scenes, and truth has 7"):
        ik.evaluate(ik.load_dataset(squares), np.zeros((8, 6, 6), int))
    with pytest.raises(ValueError, match=r"^metrics: 'mse' needs reconstructions: pass what model\.segment returned"):
        ik.evaluate(TRUE, MASK, "mse")
    with pytest.raises(ValueError, match=r"^metrics: 'elbo' needs 'elbo': pass what model\.segment returned$"):
        ik.evaluate(TRUE, MASK, "elbo")
    with pytest.raises(ValueError, match=r"^predictions: the shape of the masks is \[5, 6, 8\], and that of truth \[4"):
        ik.evaluate(TRUE[:4], MASK)
    with pytest.raises(ValueError, match=r"^predictions is float64, not integers: take the arg max"):
        ik.evaluate(TRUE, MASK.astype(float))
    masks_only = ik.infer(trained, squares, {"infer.device": "cpu", "infer.steps": 1, "infer.store": []})
    with pytest.raises(ValueError, match=r"^predictions: .*metric 'mse' needs 'reconstruction', which was not stored"):
        ik.evaluate(ik.load_dataset(squares), masks_only, "mse")


def test_predictions_of_a_store_are_read_in_batches_and_only_the_needed_fields(
    squares: Artifact, trained: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = ik.infer(trained, squares, {"infer.device": "cpu", "infer.steps": 2})
    expected = ik.evaluate(ik.load_dataset(squares), predictions, ("ari", "elbo"), resamples=0)
    read: list[tuple[int, int, set[str]]] = []
    monkeypatch.setattr(scoring, "batch_size", lambda pixels: 3)
    batch = PredictionReader.batch

    def noted(self: PredictionReader, start: int, stop: int, names: Any = None) -> PredictionBatch:
        read.append((start, stop, set(names)))
        return batch(self, start, stop, names)

    monkeypatch.setattr(PredictionReader, "batch", noted)
    mine = ik.evaluate(ik.load_dataset(squares), predictions, ("ari", "elbo"), resamples=0)
    assert mine.facts == expected.facts
    assert [(start, stop) for start, stop, _ in read] == [(0, 3), (3, 6), (6, 7)]
    assert all({"reconstruction", "component", "soft_mask"}.isdisjoint(names) for _, _, names in read)
