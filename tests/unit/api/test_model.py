"""Segmenting arrays with trained models."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import iodine_kit as ik
from iodine_kit.artifacts.trained_model import load_model, of_run
from iodine_kit.errors import TimeLimitReached
from iodine_kit.predictions.file import OPTIONAL, PREDICTIONS, PredictionReader
from iodine_kit.store import Artifact


def test_segment_gives_the_numbers_that_the_stage_infer_stores(squares: Artifact, trained: Artifact) -> None:
    options = {"seed": 5, "steps": 2, "slots": 4, "restarts": 2, "batch_size": 3}
    settings = {f"infer.{name}": value for name, value in options.items()}
    artifact = ik.infer(trained, squares, {**settings, "infer.device": "cpu"})
    model = ik.load_model(trained, device="cpu")
    segmentation = model.segment(ik.load_dataset(squares)[:].image, **options)
    stored = PredictionReader(artifact.path / PREDICTIONS).batch(0, 7)
    for name in ("mask", *OPTIONAL):
        mine = getattr(segmentation, name)
        np.testing.assert_array_equal(mine.astype(np.float16) if name == "soft_mask" else mine, getattr(stored, name))
    assert segmentation.restarts == artifact.facts["restarts"]


def test_the_defaults_are_those_of_the_stage_infer(squares: Artifact, trained: Artifact) -> None:
    artifact = ik.infer(trained, settings={"infer.device": "cpu"})
    segmentation = ik.load_model(trained, device="cpu").segment(ik.load_dataset(squares)[:].image)
    stored = PredictionReader(artifact.path / PREDICTIONS).batch(0, 7)
    np.testing.assert_array_equal(segmentation.latent_loc, stored.latent_loc)
    pretrained = ik.load_model("pretrained:tetrominoes", device="cpu")
    assert pretrained.trained.defaults["restarts"] > 1
    batch = ik.generate("tetrominoes", 2)
    predictions = PredictionReader(_inferred(batch, squares.path.parents[1]) / PREDICTIONS).batch(0, 2)
    np.testing.assert_array_equal(pretrained.segment(batch.image).mask, predictions.mask)


def _inferred(batch: ik.SceneBatch, store: Path) -> Path:
    data = ik.prepare("tetrominoes", generate=len(batch), split={"test": len(batch)}, store=store)
    return ik.infer("pretrained:tetrominoes", data, {"infer.device": "cpu"}).path


def test_a_loaded_model_is_the_runs_in_evaluation_mode_and_frozen(trained: Artifact) -> None:
    model = ik.load_model(trained, device="cpu").module
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())
    for name, value in load_model(trained).state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_a_run_is_loaded_by_artifact_path_name_and_weights_file(trained: Artifact, store: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    expected = ik.load_model(trained, device="cpu").segment(images).elbo
    for place in (trained.path, str(trained.path / "weights.safetensors")):
        np.testing.assert_array_equal(ik.load_model(place, device="cpu").segment(images).elbo, expected)
    for name in ("iodine-squares", trained.path.name, trained.manifest.key[:8]):
        model = ik.load_model(name, device="cpu", store=store)
        np.testing.assert_array_equal(model.segment(images).elbo, expected)
    alone = Path(shutil.copy(trained.path / "weights.safetensors", tmp_path))
    with pytest.raises(ValueError, match=r"^model: .*weights\.safetensors: .*checkpoint"):
        ik.load_model(alone)


def test_a_checkpoint_of_a_run_that_is_still_training_is_loaded_by_its_file(squares: Artifact) -> None:
    settings = {"train.steps": 3, "train.batch_size": 2, "train.device": "cpu", "train.tensorboard": False}
    small = {"model.steps": 1, "model.decoder.channels": [4], "model.refinement.channels": [4]}
    with pytest.raises(TimeLimitReached):
        ik.train(squares, {**settings, **small, "train.max_seconds": 1e-9})
    (checkpoint,) = squares.path.parents[1].glob("run/.*.partial/checkpoint-000000001.safetensors")
    ended = ik.train(squares, {**settings, **small, "train.steps": 1})
    images = ik.load_dataset(squares)[:].image
    expected = ik.load_model(ended, device="cpu").segment(images).elbo
    np.testing.assert_array_equal(ik.load_model(checkpoint, device="cpu").segment(images).elbo, expected)


def test_a_model_knows_the_size_of_its_training_images(trained: Artifact, tmp_path: Path) -> None:
    assert ik.load_model("pretrained:tetrominoes", device="cpu").image_size == (35, 35)
    assert ik.load_model(trained, device="cpu").image_size == (6, 6)
    alone = Path(shutil.copytree(trained.path, tmp_path / "run" / trained.path.name))
    assert ik.load_model(alone, device="cpu").image_size is None  # its data set is not in this store


def test_arrays_of_numpy_and_pytorch_bytes_and_floats_are_segmented_alike(trained: Artifact) -> None:
    model = ik.load_model(trained, device="cpu")
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    expected = model.segment(images).elbo
    floats = (images / 255).astype(np.float32)
    others = [
        images.astype(np.int64),
        floats,
        torch.from_numpy(images),
        torch.from_numpy(floats).requires_grad_(),
        torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).permute(0, 2, 3, 1),
        ik.SceneBatch(("a", "b"), images, np.zeros((2, 6, 6), np.uint8)),
    ]
    for other in others:
        np.testing.assert_allclose(model.segment(other).elbo, expected, rtol=1e-6)
    assert model.segment(images[:1]).mask.shape == (1, 6, 6)
    rounded = torch.from_numpy(floats).bfloat16()
    np.testing.assert_array_equal(model.segment(rounded).elbo, model.segment(rounded.float()).elbo)


def test_shapes_and_types_are_those_of_the_documentation(trained: Artifact) -> None:
    one = ik.load_model(trained, device="cpu").segment(np.zeros((2, 6, 6, 3), np.uint8), steps=2, slots=5)
    shapes = {
        "mask": (np.uint8, (2, 6, 6)),
        "step_mask": (np.uint8, (2, 3, 6, 6)),
        "soft_mask": (np.float32, (2, 5, 6, 6)),
        "component": (np.uint8, (2, 5, 6, 6, 3)),
        "reconstruction": (np.float32, (2, 6, 6, 3)),
        "latent_loc": (np.float32, (2, 5, 3)),
        "latent_scale": (np.float32, (2, 5, 3)),
        "elbo": (np.float32, (2, 3)),
        "nll": (np.float32, (2, 3)),
        "kl": (np.float32, (2, 3)),
    }
    assert {name: (getattr(one, name).dtype.type, getattr(one, name).shape) for name in shapes} == shapes
    assert len(one) == 2 and (one.mask == one.soft_mask.argmax(1)).all() and (one.mask == one.step_mask[:, -1]).all()
    np.testing.assert_allclose(one.soft_mask.sum(1), 1, rtol=1e-5)
    assert repr(one) == "Segmentation of 2 images, 6×6 pixels: 5 slots, 2 refinement steps"
    first = one[:1]
    assert len(first) == 1 and (first.component == one.component[:1]).all() and (first.elbo == one.elbo[:1]).all()
    assert repr(first) == "Segmentation of 1 image, 6×6 pixels: 5 slots, 2 refinement steps"
    assert "of 2 images, 6×6 pixels: 5 slots, 2 refinement steps: reconstruction and predicted" in one._repr_html_()
    with pytest.raises(TypeError, match=r"write segmentation\[2:3\]"):
        one[0]  # type: ignore[index]
    with pytest.raises(AttributeError):
        one.mask = one.mask  # type: ignore[misc]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((6, 6, 3), np.uint8), r"^images: the shape is \[6, 6, 3\].*for one image, pass image\[None\]"),
        (np.zeros((1, 3, 6, 6), np.uint8), r"^images: the shape is \[1, 3, 6, 6\].*moveaxis\(images, 1, -1\)"),
        (np.zeros((1, 6, 6), np.uint8), r"^images: the shape is \[1, 6, 6\], expected \[B, H, W, 3\]$"),
        (np.zeros((0, 6, 6, 3), np.uint8), "^images: .*with at least one image"),
        (np.zeros((1, 6, 6, 3), bool), "^images: the type is bool"),
        (np.full((1, 6, 6, 3), 200.0), r"^images: the values are 200 to 200, outside of 0 to 1: divide by 255"),
        (np.full((1, 6, 6, 3), np.nan), "^images: the values are nan to nan, outside of 0 to 1"),
        (np.full((1, 6, 6, 3), -1), r"^images: the values are -1 to -1, outside of 0 to 255"),
        (np.zeros((1, 2, 2, 3), np.uint8), "^images: this network needs images of at least 3×3 pixels"),
    ],
)
def test_images_that_do_not_fit_are_refused_by_name(trained: Artifact, images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ik.load_model(trained, device="cpu").segment(images)


def test_options_and_places_that_do_not_fit_are_refused_by_name(trained: Artifact, store: Path) -> None:
    model, images = ik.load_model(trained, device="cpu"), np.zeros((1, 6, 6, 3), np.uint8)
    for name, value in {"steps": -1, "slots": 0, "restarts": 0, "batch_size": 0, "seed": -1}.items():
        with pytest.raises(ValueError, match=f"^{name}: "):
            model.segment(images, **{name: value})
    with pytest.raises(ValueError, match=r"^device: .*'cuda:99'"):
        ik.load_model(trained, device="cuda:99")
    with pytest.raises(ValueError, match=r"^model: .*'tetromino'.*did you mean 'tetrominoes'"):
        ik.load_model("pretrained:tetromino")
    with pytest.raises(ValueError, match=r"^model: nothing\.safetensors: no such file"):
        ik.load_model("nothing.safetensors")
    with pytest.raises(ValueError, match=r"^model: iodine-square: no such artifact.*did you mean 'iodine-squares'"):
        ik.load_model("iodine-square", store=store)


def test_weights_of_another_network_are_no_mistake_in_the_device(trained: Artifact) -> None:
    damaged = replace(of_run(trained), tensors=dict)
    with pytest.raises(ik.IodineKitError):
        ik.SegmentationModel(damaged, "cpu")


def test_images_unlike_those_of_training_get_a_warning() -> None:
    model = ik.load_model("pretrained:tetrominoes", device="cpu")
    with pytest.warns(UserWarning, match=r"pretrained:tetrominoes: .*35×35 pixels, but these have 40×40.*may be poor"):
        model.segment(np.zeros((1, 40, 40, 3), np.uint8), steps=1, restarts=1)
