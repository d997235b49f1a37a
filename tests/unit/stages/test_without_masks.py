"""Scenes without masks: what can be scored is, the rest is refused or omitted, and never 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from unit.stages.foreseen import store_masks, store_predictions

from iodine_kit.artifacts.evaluations import check_masks, read_objects, read_scenes, read_scores
from iodine_kit.errors import SchemaError
from iodine_kit.evaluation.mask_size import Resolution
from iodine_kit.metrics import METRICS, needs_masks
from iodine_kit.progress import Silent
from iodine_kit.records import SceneBatch
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import compare, evaluate, probe
from iodine_kit.store import Artifact, Store

SIDE, SCENES = 12, 5
EMPTY = np.zeros((SCENES, SIDE, SIDE), np.uint8)
OF_MASKS = {
    "ari", "ari-all", "ap", "boundary-f", "count-accuracy", "dice", "mbo", "miou", "miou-fg", "msc", "recovery", "sc",
    "sc-fg",
}  # fmt: skip


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, EMPTY.shape).astype(np.uint8)


def pictures(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((*EMPTY.shape, 3), np.float32)


def evaluated(root: Path, predictions: Artifact, dataset: Artifact, **more: object) -> Artifact:
    truth = {"truth": more.pop("truth")} if "truth" in more else {}
    inputs = {"predictions": predictions, "dataset": dataset, **truth}
    return run_stage(evaluate, {"eval": more}, inputs, Context(Store(root)))


def test_only_metrics_of_images_and_of_the_elbo_need_no_masks() -> None:
    assert {name for name in METRICS.built_in() if needs_masks(METRICS.load(name))} == OF_MASKS


def test_a_metric_can_say_that_it_needs_masks_beside_a_reconstruction() -> None:
    class OfTheForeground:
        NEEDS, NEEDS_MASKS = "reconstruction", True

    assert needs_masks(OfTheForeground)  # type: ignore[arg-type]


def test_noise_is_not_scored_without_masks(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, EMPTY, masked=False)
    predictions = store_predictions(tmp_path, dataset, noise(), slots=4)
    with pytest.raises(SchemaError, match=r"nothing can be scored: split 'test' of .* has no masks"):
        evaluated(tmp_path, predictions, dataset)
    for name in sorted(OF_MASKS):
        with pytest.raises(SchemaError, match=f"metric '{name}' needs true masks, but split 'test' of"):
            evaluated(tmp_path, predictions, dataset, metrics=[name])


def test_every_metric_of_masks_is_omitted_and_no_table_counts_objects(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, EMPTY, masked=False)
    predictions = store_predictions(
        tmp_path, dataset, noise(), slots=4, reconstruction=pictures(), step_mask=np.stack([noise(1), noise()], 1)
    )
    evaluation = evaluated(tmp_path, predictions, dataset)
    facts = evaluation.facts
    assert list(facts["metrics"]) == ["mse", "psnr", "ssim"] and facts["unmasked"] is True
    assert facts["objects"] == {"n": 0, "by_size": []} and facts["groups"] == {"objects": [], "size": []}
    assert not any(metric["by_step"] for metric in facts["metrics"].values())
    assert list(read_scenes(evaluation)) == ["key", "mse", "psnr", "ssim"] and len(read_objects(evaluation)) == 0
    assert "no true masks" in (evaluation.path / "summary.md").read_text("utf-8")
    first = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)  # as store_masks draws it
    assert read_scores(evaluation)["mse"][0] == pytest.approx(((pictures()[0] - first / 255) ** 2).mean())


def test_facts_with_masks_say_nothing_about_masks(tmp_path: Path) -> None:
    masks = EMPTY.copy()
    masks[:, 2:6, 2:6] = 1
    dataset = store_masks(tmp_path, masks)
    evaluation = evaluated(tmp_path, store_predictions(tmp_path, dataset, noise()), dataset)
    assert "unmasked" not in evaluation.facts and set(evaluation.facts["metrics"]) == OF_MASKS


def test_masks_of_the_same_pictures_can_be_added_later(tmp_path: Path) -> None:
    masks = EMPTY.copy()
    masks[:, 2:6, 2:6], masks[:, 7:9, 3:9] = 1, 2
    bare, truth = store_masks(tmp_path, EMPTY, masked=False), store_masks(tmp_path, masks, seed=1)
    predictions = store_predictions(tmp_path, bare, masks, slots=3)
    facts = evaluated(tmp_path, predictions, bare, truth=truth).facts
    assert facts["metrics"]["ari"]["mean"] == facts["metrics"]["miou"]["mean"] == 1 and facts["objects"]["n"] == 10
    with pytest.raises(SchemaError, match="has no masks"):
        evaluated(tmp_path, predictions, bare, truth=bare)


def test_masks_of_other_pictures_are_refused(tmp_path: Path) -> None:
    masks = EMPTY.copy()
    masks[:, 2:6, 2:6] = 1
    bare = store_masks(tmp_path, EMPTY, masked=False)
    predictions = store_predictions(tmp_path, bare, masks, slots=2)
    for others, problem in (
        (store_masks(tmp_path, masks[:, :6, :6], seed=2), r"different sizes, 6×6 and 12×12 pixels"),
        (store_masks(tmp_path, masks[:3], seed=3), r"it has 3 scenes, and 5 were predicted"),
        (store_masks(tmp_path, masks, seed=4, noise=9), r"the image of scene 0, 'test-000', differs"),
    ):
        with pytest.raises(SchemaError, match=problem):
            evaluated(tmp_path, predictions, bare, truth=others, resolution=12)


def test_masks_without_any_object_are_scored_with_a_word(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, EMPTY, entities=3)
    notes: list[str] = []

    class Notes(Silent):
        def note(self, text: str, *, routine: bool = False) -> None:
            notes.append(text)

    inputs = {"predictions": store_predictions(tmp_path, dataset, noise()), "dataset": dataset}
    evaluation = run_stage(evaluate, {"eval": {}}, inputs, Context(Store(tmp_path), Notes()))
    assert evaluation.facts["metrics"]["ap"]["mean"] == 1  # by its convention, for nothing was detected
    assert [text for text in notes if "No true mask shows an object" in text]
    assert "No true mask shows an object" in (evaluation.path / "summary.md").read_text("utf-8")
    undefined = {name for name, metric in evaluation.facts["metrics"].items() if metric["n"] == 0}
    assert undefined == {"ari", "boundary-f", "dice", "mbo", "miou", "miou-fg", "recovery", "sc-fg"}


def test_models_are_compared_by_metrics_of_images_alone(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, EMPTY, masked=False)
    evaluations = [
        evaluated(tmp_path, store_predictions(tmp_path, dataset, noise(), model=name, reconstruction=guess), dataset)
        for name, guess in (("bad", pictures(1)), ("worse", pictures(2) * 2))
    ]
    inputs = compare.numbered(evaluations)
    comparison = run_stage(compare, {}, inputs, Context(Store(tmp_path)))
    assert list(comparison.facts["metrics"]) == ["mse", "psnr", "ssim"]
    assert comparison.facts["pairs"][0]["metrics"]["mse"]["worse"] == SCENES


def test_scores_of_masks_by_an_older_release_are_not_used(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, EMPTY, entities=2)
    evaluation = evaluated(tmp_path, store_predictions(tmp_path, dataset, noise()), dataset, metrics=["ap"])
    check_masks(evaluation, dataset)
    bare = store_masks(tmp_path, EMPTY, masked=False)
    with pytest.raises(SchemaError, match=r"an older release scored ap, but split 'test' of .* evaluate again with"):
        check_masks(evaluation, bare)


def test_another_size_does_not_invent_masks() -> None:
    batch = SceneBatch(("a",), np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 4, 4), np.uint8), has_masks=False)
    resized = Resolution((4, 4), (4, 4), (8, 8)).true(batch)
    assert resized.mask.shape == (1, 8, 8) and not resized.has_masks


def test_no_probe_without_masks(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, EMPTY, masked=False)
    latents = np.ones((SCENES, 4, 2), np.float32)
    predictions = store_predictions(tmp_path, dataset, noise(), slots=4, latent_loc=latents, latent_scale=latents)
    with pytest.raises(SchemaError, match=r"probe matches the slots with the objects by true masks, but split 'test'"):
        run_stage(probe, {}, {"predictions": predictions, "dataset": dataset}, Context(Store(tmp_path)))


def test_metrics_that_need_masks_are_refused_before_inference(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, EMPTY, masked=False)
    for metrics in (["all"], ["mse", "elbo"]):
        evaluate.check_masks({"eval": {"metrics": metrics}}, dataset, "test")
    with pytest.raises(SchemaError, match=r"eval.metrics: 'ap' needs true masks, but split 'test' of .*: omit the"):
        evaluate.check_masks({"eval": {"metrics": ["mse", "ap"]}}, dataset, "test")
