"""Pixels to ignore, from a data set through evaluations, statistics, validation and pages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import adjusted_rand_score
from unit.stages.artifact_builders import store_scenes
from unit.stages.foreseen import store_masks, store_predictions

import iodine_kit as ik
from iodine_kit.artifacts.evaluations import read_objects, read_scenes, read_scores
from iodine_kit.artifacts.predictions_and_truth import paired
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.evaluation.bootstrap import Resampling
from iodine_kit.evaluation.probing.objects import ObjectCollector
from iodine_kit.evaluation.probing.prediction import CrossValidation
from iodine_kit.evaluation.probing.summary import conventions
from iodine_kit.models import Inference
from iodine_kit.preprocessing import PreprocessConfig, count_objects, is_kept
from iodine_kit.progress import Silent
from iodine_kit.records import DatasetInfo, PredictionBatch, Scene, SceneBatch
from iodine_kit.reporting.colours import HATCH
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import compare, evaluate, report, stats
from iodine_kit.stages.export import export
from iodine_kit.stages.prepare.describe import describe
from iodine_kit.stages.prepare.journal import State
from iodine_kit.stages.train.validation import Validation
from iodine_kit.store import Artifact, Store
from iodine_kit.studies._experiment import Evaluated
from iodine_kit.studies.multistability import draw
from iodine_kit.studies.multistability.inferences import RepeatedInferences
from iodine_kit.training.config import TrainConfig

IGNORED, SIDE = 255, 16


def masks(scenes: int = 6) -> np.ndarray:
    """Two objects on a background, with four columns at the right whose truth nobody knows."""
    rng = np.random.default_rng(0)
    found = np.zeros((scenes, SIDE, SIDE), np.uint8)
    for mask in found:
        for label in (1, 2):
            top, left = rng.integers(0, 10, 2)
            mask[top : top + 6, left : left + 6] = label
    found[:, :, 12:] = IGNORED
    return found


def guesses(truth: np.ndarray) -> np.ndarray:
    """The truth with some pixels given to any of four slots, and noise where nobody knows."""
    rng = np.random.default_rng(1)
    wrong = (truth == IGNORED) | (rng.random(truth.shape) < 0.1)
    return np.where(wrong, rng.integers(0, 4, truth.shape), truth).astype(np.uint8)


def evaluated(root: Path, predictions: Artifact, dataset: Artifact, **values: object) -> Artifact:
    inputs = {"predictions": predictions, "dataset": dataset}
    if "truth" in values:
        inputs["truth"] = values.pop("truth")  # type: ignore[assignment]
    return run_stage(evaluate, {"eval": {"resamples": 20, **values}}, inputs, Context(Store(root)))


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Artifact, Artifact]:
    truth = masks()
    dataset = store_masks(tmp_path, truth, ignored=IGNORED)
    return store_predictions(tmp_path, dataset, guesses(truth), slots=4), dataset


def test_scores_are_those_of_the_other_pixels_and_the_summary_names_the_share(
    tmp_path: Path, stored: tuple[Artifact, Artifact]
) -> None:
    found = evaluated(tmp_path, *stored)
    truth, guess = masks(), guesses(masks())
    foreground = (truth > 0) & (truth != IGNORED)
    pairs = zip(truth, guess, foreground, strict=True)
    expected = [adjusted_rand_score(t[inside], g[inside]) for t, g, inside in pairs]
    np.testing.assert_allclose(read_scores(found)["ari"], expected, atol=1e-12)
    cut = store_masks(tmp_path / "cut", truth[:, :, :12])
    whole = evaluated(tmp_path / "cut", store_predictions(tmp_path / "cut", cut, guess[:, :, :12], slots=4), cut)
    for name, scores in read_scores(whole).items():
        np.testing.assert_allclose(read_scores(found)[name], scores, atol=1e-12)
    scenes = read_scenes(found)
    assert list(scenes)[:4] == ["key", "objects", "foreground", "ignored"]
    assert (
        scenes["ignored"].tolist() == [SIDE * 4] * 6
        and scenes["foreground"].tolist() == foreground.sum((1, 2)).tolist()
    )
    assert IGNORED not in set(read_objects(found)["entity"])
    assert found.facts["ignored_share"] == pytest.approx(0.25)
    assert "Pixels to ignore" in found.facts["metrics"]["miou"]["convention"]
    summary = (found.path / "summary.md").read_text("utf-8")
    assert "Pixels to ignore: 25.0 % of the pixels of true masks" in summary
    assert "ignored_share" not in whole.facts and "ignore" not in (whole.path / "summary.json").read_text("utf-8")
    assert "ignored" not in read_scenes(whole)


def test_another_resolution_keeps_the_pixels_to_ignore(tmp_path: Path, stored: tuple[Artifact, Artifact]) -> None:
    found = evaluated(tmp_path, *stored, resolution=32)
    double = masks().repeat(2, 1).repeat(2, 2), guesses(masks()).repeat(2, 1).repeat(2, 2)
    expected = ik.score(*double, ["ari", "miou", "ap"], ignored=IGNORED)
    for name, scores in expected.items():
        np.testing.assert_allclose(read_scores(found)[name], scores, atol=1e-12)
    assert found.facts["ignored_share"] == pytest.approx(0.25)


def test_true_masks_of_another_preparation_have_pixels_to_ignore_of_their_own(tmp_path: Path) -> None:
    truth = masks()
    known = np.where(truth == IGNORED, 0, truth)
    dataset = store_masks(tmp_path, known, size=SIDE)
    predictions = store_predictions(
        tmp_path, dataset, guesses(truth), reconstruction=np.zeros((6, SIDE, SIDE, 3), np.float32)
    )
    other = store_masks(tmp_path, truth.repeat(2, 1).repeat(2, 2), size=2 * SIDE, ignored=IGNORED)
    found = evaluated(tmp_path, predictions, dataset, truth=other, resolution=2 * SIDE)
    expected = ik.score(truth, guesses(truth), ["miou"], ignored=IGNORED)["miou"]
    np.testing.assert_allclose(read_scores(found)["miou"], expected, atol=1e-12)
    assert found.facts["ignored_share"] == pytest.approx(0.25)
    assert read_scenes(found)["ignored"].tolist() == [4 * SIDE * 4] * 6
    image = (next(paired(predictions, dataset))[0].image / 255) ** 2
    np.testing.assert_allclose(read_scores(found)["mse"], image.mean((1, 2, 3)))  # its own masks ignore nothing


def test_a_comparison_and_a_page_say_it_too(tmp_path: Path, stored: tuple[Artifact, Artifact]) -> None:
    predictions, dataset = stored
    found = evaluated(tmp_path, predictions, dataset)
    other = store_predictions(tmp_path, dataset, np.zeros((6, SIDE, SIDE), np.uint8), model="other", slots=4)
    pair = {"evaluation-1": found, "evaluation-2": evaluated(tmp_path, other, dataset)}
    compared = run_stage(compare, {"compare": {"resamples": 20, "flips": 20}}, pair, Context(Store(tmp_path)))
    assert "ignored" not in compared.facts["metrics"] and "ignored" not in compared.facts["left_out"]
    assert "Pixels to ignore" in compared.facts["metrics"]["ari"]["convention"]
    chain = {"evaluation": found, "predictions": predictions, "dataset": dataset}
    page = run_stage(report, {}, chain, Context(Store(tmp_path)))
    still = np.asarray(Image.open(page.path / "figures/scenes.png"))
    assert (still == HATCH[0]).all(-1).sum() > 100
    text = (page.path / "index.html").read_text("utf-8")
    assert "Grey stripes in a true mask: ignored" in text and "25.0 % of the pixels of true masks" in text


def test_statistics_count_them_as_neither_object_nor_background(tmp_path: Path) -> None:
    truth = masks()
    found = run_stage(stats, {}, {"dataset": store_masks(tmp_path, truth, ignored=IGNORED)}, Context(Store(tmp_path)))
    content = json.loads((found.path / "statistics.json").read_text("utf-8"))["all"]
    assert content["objects_per_scene"]["maximum"] == 2
    assert content["pixels_per_object"]["n"] == sum(len(np.unique(mask)) - 2 for mask in truth)
    assert content["background_share"]["mean"] == pytest.approx((truth == 0).mean())
    assert content["ignored_share"]["mean"] == found.facts["all"]["ignored_share"] == pytest.approx(0.25)
    page = (found.path / "index.html").read_text("utf-8")
    assert "25.0 % of the pixels of masks are ignored" in page
    assert "the background is near-black; grey stripes: ignored." in page
    plain = store_masks(tmp_path / "plain", np.where(truth == IGNORED, 0, truth))
    without = run_stage(stats, {}, {"dataset": plain}, Context(Store(tmp_path / "plain")))
    for name in ("index.html", "statistics.json"):
        assert "ignored" not in (without.path / name).read_text("utf-8")
    assert "ignored_share" not in without.facts["all"]


class Everything(torch.nn.Module):
    """A model that finds what it was given, and noise where nobody knows."""

    def __init__(self, found: np.ndarray) -> None:
        super().__init__()
        self.weight, self.found = torch.nn.Parameter(torch.zeros(1)), torch.from_numpy(found)

    def infer(self, image: torch.Tensor, noise: torch.Generator) -> Inference:
        found, rest = self.found.split([len(image), len(self.found) - len(image)])
        self.found, scenes = rest, len(image)
        return Inference(
            step_mask_BSHW=found[:, None], mask_BKHW=torch.zeros(scenes, 4, SIDE, SIDE),
            mean_BKCHW=torch.zeros(scenes, 4, 3, SIDE, SIDE), reconstruction_BCHW=torch.zeros(scenes, 3, SIDE, SIDE),
            loc_BKZ=torch.zeros(scenes, 4, 1), scale_BKZ=torch.ones(scenes, 4, 1),
            nll_BS=torch.zeros(scenes, 1), kl_BS=torch.zeros(scenes, 1),
        )  # fmt: skip


def test_validation_during_training_ignores_the_same_pixels(tmp_path: Path) -> None:
    truth = masks()
    dataset = store_masks(tmp_path, truth, ignored=IGNORED)
    config = TrainConfig(validate_every=1, validate_scenes=6, batch_size=4, select="best", validate_split="test")
    result = Validation(config, dataset)(Everything(guesses(truth)), 1)
    expected = ik.score(truth, guesses(truth), "ari", ignored=IGNORED)["ari"].mean()
    assert result.metrics["fg_ari"] == pytest.approx(expected)
    assert len(result.picture()) == 16 + 4 * (6 * SIDE + 4) + 4 + 16  # captions, four scenes of the first batch, legend
    nothing = store_masks(tmp_path, np.where(truth == IGNORED, IGNORED, 0).astype(np.uint8), seed=1, ignored=IGNORED)
    with pytest.raises(ConfigError, match="needs true masks"):
        Validation(config, nothing)


def test_probes_say_it_only_where_there_are_such_pixels() -> None:
    choices = CrossValidation(2, 0), Resampling(0, 0.95, 0)
    plain = conventions(*choices)
    assert {**plain, "ignored": conventions(*choices, ignores=True)["ignored"]} == conventions(*choices, ignores=True)
    assert "ignored" not in plain


def test_repeated_inferences_are_compared_on_the_other_pixels(tmp_path: Path) -> None:
    truth = masks(2)
    known = truth != IGNORED
    dataset = store_masks(tmp_path, truth, ignored=IGNORED)
    rng, results = np.random.default_rng(0), []
    for number in range(2):  # the same where it is known, and noise elsewhere
        guess = np.where(known, truth, rng.integers(0, 4, truth.shape)).astype(np.uint8)
        zeros = np.zeros((2, 1), np.float32)
        predictions = store_predictions(
            tmp_path, dataset, guess, slots=4, model=f"noise {number}", step_mask=guess[:, None], elbo=zeros, nll=zeros
        )
        results.append(Evaluated(predictions, evaluated(tmp_path, predictions, dataset, metrics=["ari"]), dataset))
    for all_pixels in (False, True):
        repeated = RepeatedInferences(results, 0.99, "complete", all_pixels=all_pixels)
        assert (repeated.pairwise_ari_SRR == 1).all() and repeated.entities == 3
        assert repeated.ari_D.tolist() == [1] and (repeated.owners_RSDE == [1, 2]).all()
    picture, caption = draw(repeated, 2)
    assert "hatched" in caption and (picture == HATCH[0]).all(-1).any()


def test_probes_match_objects_by_the_other_pixels() -> None:
    truth = np.array([[[1, 1, 2, 2, 255, 255, 255, 255]]], np.uint8)
    guess = np.array([[[0, 0, 1, 1, 1, 1, 0, 0]]], np.uint8)
    collector = ObjectCollector(3, (0,), IGNORED)
    latents = np.zeros((1, 2, 1), np.float32)
    prediction = PredictionBatch(("a",), guess, latent_loc=latents, latent_scale=latents + 1)
    batch = SceneBatch(("a",), np.zeros((1, 1, 8, 3), np.uint8), truth)
    collector.add(batch, prediction, [{"x": np.arange(3.0)}])
    objects = collector.objects()
    assert len(objects) == 2 and objects.slot_M.tolist() == [0, 1] and objects.factors["x"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("labels", "objects"), [([0, 1, 255], 1), ([1, 2, 255], 2), ([0, 255, 255], None), ([255], None)]
)
def test_filters_count_the_objects_of_the_other_pixels(labels: list[int], objects: int | None) -> None:
    mask = np.array([labels], np.uint8)
    scene = Scene("a", np.zeros((*mask.shape, 3), np.uint8), mask, ignored=True)
    assert count_objects(scene, (0,)) == objects
    assert is_kept(scene, scene, (0,), PreprocessConfig(min_objects=1, max_objects=1, count="pixels")) == (objects == 1)


def test_a_layout_in_which_every_pixel_belongs_to_an_entity_is_not_written(tmp_path: Path) -> None:
    scene = Scene("a", np.zeros((35, 35, 3), np.uint8), np.full((35, 35), IGNORED, np.uint8))
    dataset = store_scenes(tmp_path, {"test": [scene]}, DatasetInfo("tetrominoes", 0, 0, 4, ignored=IGNORED))
    with pytest.raises(SchemaError, match=r"pixels to ignore.*docs/data\.md"):
        export(dataset, tmp_path / "out", Silent())
    assert not (tmp_path / "out").exists()


def test_the_python_interface_takes_them_from_the_data_set_or_from_the_call(
    tmp_path: Path, stored: tuple[Artifact, Artifact]
) -> None:
    predictions, artifact = stored
    truth, guess = masks(), guesses(masks())
    expected = ik.score(truth, guess, "miou", ignored=IGNORED)["miou"]
    assert not np.allclose(ik.score(truth, guess, "miou")["miou"], expected)  # without it 255 is an entity
    with ik.load_dataset(artifact) as data:
        batch = data[:]
        assert batch.ignored == batch[:2].ignored == IGNORED and data[0].ignored and batch[0].ignored
        assert ik.SceneBatch.of([data[0], data[1]]).ignored == IGNORED
        for one in (data, batch):
            found = ik.evaluate(one, guess, "miou", resamples=0)
            np.testing.assert_array_equal(found.scores["miou"], expected)
            assert found.facts.ignored_share == pytest.approx(0.25)
        np.testing.assert_array_equal(ik.evaluate(data, predictions, "miou", resamples=0).scores["miou"], expected)
    found = ik.evaluate(truth, guess, "miou", ignored=IGNORED, resamples=0)
    np.testing.assert_array_equal(found.scores["miou"], expected)
    assert "ignored_share" not in ik.evaluate(truth, guess, "miou", resamples=0).facts.as_json()
    for wrong in (256, -1, 0, 1.5, True):
        with pytest.raises(ValueError, match=r"^ignored: "):
            ik.score(truth, guess, ignored=wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^ignored: "):
            ik.evaluate(truth, guess, ignored=wrong)  # type: ignore[arg-type]


def test_an_entity_cannot_have_the_index_of_pixels_to_ignore_in_other_masks() -> None:
    columns = {"image": ("uint8", (4, 4, 3)), "mask": ("uint8", (4, 4))}
    info = DatasetInfo("folder", 0, 0, 0)
    with pytest.raises(
        SchemaError, match="index 255 marks pixels to ignore in some masks, and is an entity in another"
    ):
        describe(info, {"train": 2}, "hdf5", State(ignored=True, entities=256, columns=columns))
    found = describe(info, {"train": 2}, "hdf5", State(ignored=True, entities=255, columns=columns))
    assert found["info"]["ignored"] == IGNORED
    assert "ignored" not in describe(info, {"train": 2}, "hdf5", State(entities=256, columns=columns))["info"]
