"""The stages as functions."""

from __future__ import annotations

import logging
import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

import iodine_kit as ik
from iodine_kit.config import parse_overrides
from iodine_kit.runner import Context
from iodine_kit.stages import prepare
from iodine_kit.store import Artifact, Store

SMALL = {"dataset.cell": 2, "train.batch_size": 2, "train.steps": 1, "train.device": "cpu", "model.steps": 1}


def test_generated_scenes_are_those_that_prepare_stores(tmp_path: Path) -> None:
    split, settings = {"train": 2, "test": 3}, {"dataset.cell": 2, "prepare.seed": 4}
    artifact = ik.prepare("tetrominoes", generate=5, split=split, settings=settings, store=tmp_path)
    for name, count in split.items():
        batch, data = ik.generate("tetrominoes", count, seed=4, split=name, cell=2), ik.load_dataset(artifact, name)
        assert batch.keys == tuple(data.keys())
        np.testing.assert_array_equal(batch.image, data[:].image)
        np.testing.assert_array_equal(batch.mask, data[:].mask)


def test_prepare_makes_the_artifact_of_the_stage(tmp_path: Path) -> None:
    artifact = ik.prepare("tetrominoes", generate=10, settings={"dataset": {"cell": 2}}, store=tmp_path)
    tables = parse_overrides(["prepare.dataset=tetrominoes", "prepare.generate=10", "dataset.cell=2"], prepare.TABLES)
    job = prepare.plan(tables, {}, Context(Store(tmp_path)))
    assert artifact.manifest.key == job.identity.key and artifact.path.parent == tmp_path / "dataset"
    assert repr(artifact) == f"Artifact(path={artifact.path!r})"


def test_a_mistake_in_the_arguments_of_prepare_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'tetromino'; did you mean 'tetrominoes'"):
        ik.prepare("tetromino", generate=3, store=tmp_path)
    with pytest.raises(ValueError, match=r"dataset\.cel is not a known key; did you mean 'cell'"):
        ik.prepare("tetrominoes", generate=3, settings={"dataset.cel": 2}, store=tmp_path)
    with pytest.raises(ValueError, match=r"add up to 4 scenes, but generate is 3"):
        ik.prepare("tetrominoes", generate=3, split={"train": 4}, store=tmp_path)
    with pytest.raises(ValueError, match=r"^source: nowhere: no such file or folder; give source PATH or an address"):
        ik.prepare("folder", source="nowhere", store=tmp_path)
    with pytest.raises(ValueError, match=r"^source: folder has no public address to download from: use source PATH$"):
        ik.prepare("folder", store=tmp_path)
    protocol = {"prepare.protocol": "slot-attention"}
    with pytest.raises(ValueError, match=r"^generate and prepare\.protocol exclude each other"):
        ik.prepare("tetrominoes", generate=3, settings=protocol, store=tmp_path)
    with pytest.raises(ValueError, match=r"for generated scenes use the setting dataset\.…"):
        ik.prepare("tetrominoes", generate=3, settings={"preprocess.max_objects": 2}, store=tmp_path)
    with pytest.raises(ValueError, match=r"^settings: 'datasets.cell' is in no known table; did you mean 'dataset'"):
        ik.prepare("tetrominoes", generate=3, settings={"datasets.cell": 2}, store=tmp_path)
    with pytest.raises(ValueError, match=r"^settings: 'dataset' is a table"):
        ik.prepare("tetrominoes", generate=3, settings={"dataset": 2}, store=tmp_path)


def test_an_address_that_cannot_be_reached_is_no_mistake_in_the_arguments(tmp_path: Path) -> None:
    with pytest.raises(ik.IodineKitError, match=r"missing\.zip"):
        ik.prepare("folder", source=f"file://{tmp_path}/missing.zip", store=tmp_path)


def test_a_damaged_artifact_is_no_mistake_in_the_arguments_and_the_advice_is_in_python(tmp_path: Path) -> None:
    artifact = ik.prepare("tetrominoes", generate=3, settings={"dataset.cell": 2}, store=tmp_path)
    (artifact.path / "train.h5").write_bytes(b"x")
    for again in (
        lambda: ik.prepare("tetrominoes", generate=3, settings={"dataset.cell": 2}, store=tmp_path),
        lambda: ik.load_dataset(artifact),
    ):
        with pytest.raises(
            ik.IodineKitError, match=r"train\.h5.*; (rebuild it|repeat the prepare .*,) with overwrite=True$"
        ):
            again()


def test_settings_are_never_changed(squares: Artifact) -> None:
    settings = {"model": {"decoder": {"channels": [4]}}, "model.decoder.kernels": 3}
    before = deepcopy(settings)
    with pytest.raises(ValueError, match=r"model\.decoder\.kernels is not a known key"):
        ik.train(squares, settings)
    assert settings == before


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("tetromino", 1), {}, r"^dataset: no data set is called 'tetromino'; did you mean 'tetrominoes'"),
        (("objects-room", 1), {}, "^dataset: objects-room has no generator"),
        (("tetrominoes", 0), {}, "^count: at least one scene"),
        (("tetrominoes", 1), {"seed": -1}, "^seed: it must be at least 0"),
        (("tetrominoes", 1), {"cel": 1}, r"^options\.cel is not a known key; did you mean 'cell'"),
        (("tetrominoes", 1), {"cell": 0}, r"^options\.cell: "),
    ],
)
def test_a_mistake_in_the_arguments_of_generate_is_a_value_error(
    arguments: tuple[str, int], options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ik.generate(*arguments, **options)


def test_a_pipeline_makes_every_artifact_once_and_settings_replace_its_values(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text('[prepare]\ndataset = "tetrominoes"\ngenerate = 20\n[train]\nsteps = 7\n')
    chain = ik.run(file, SMALL, store=tmp_path / "store")
    assert chain["run"].facts["steps"] == 1 and chain["evaluation"].facts["scenes"] == 2
    again = ik.run(file, SMALL, store=tmp_path / "store")
    assert {role: made.manifest.made["started"] for role, made in again.items()} == {
        role: made.manifest.made["started"] for role, made in chain.items()
    }
    with pytest.raises(ValueError, match=r"train\.step is not a known key; did you mean 'steps'"):
        ik.run(file, {"train.step": 1}, store=tmp_path / "store")
    with pytest.raises(ValueError, match=r"no metric is called 'arii'; did you mean 'ari'"):
        ik.run(file, {**SMALL, "eval.metrics": ["arii"]}, store=tmp_path / "store")
    with pytest.raises(ValueError, match=r"has 2 scenes, not 100"):  # known only after the data set was made
        ik.run(file, {**SMALL, "infer.scenes": 100}, store=tmp_path / "store")
    with pytest.raises(ValueError, match=r"^pipeline: no pipeline is called 'tiny' in the folder pipelines/ of"):
        ik.run("tiny")


def test_train_and_infer_take_what_load_dataset_and_load_model_return(squares: Artifact, trained: Artifact) -> None:
    data, model = ik.load_dataset(squares, "train"), ik.load_model(trained, device="cpu")
    settings = {"infer.device": "cpu", "infer.steps": 1}
    predictions = ik.infer(model, data, settings)
    assert predictions.facts["split"] == "train" and predictions.facts["scenes"] == 12
    assert ik.infer(trained, data.artifact, {**settings, "infer.split": "train"}).path == predictions.path
    with pytest.raises(ValueError, match=r"^dataset: name a data set; it is not known which one"):
        ik.infer("pretrained:tetrominoes")
    with pytest.raises(ValueError, match=r"train\.split|no split 'trian'"):
        ik.train(data, {"train.split": "trian"})


def test_inputs_outside_the_store_of_the_result_are_refused_by_name(
    squares: Artifact, trained: Artifact, tmp_path: Path
) -> None:
    elsewhere = r"it is in the store .*, but the result would be in .*: use one store"
    copy = Path(shutil.copytree(squares.path, tmp_path / "dataset" / squares.path.name))
    model = ik.load_model(trained, device="cpu")
    for run in (trained, trained.path, str(trained.path / "weights.safetensors"), model):
        with pytest.raises(ValueError, match=f"^model: {elsewhere}"):
            ik.infer(run, "squares", store=tmp_path)
        with pytest.raises(ValueError, match=f"^model: {elsewhere}"):
            ik.infer(run, copy)
        with pytest.raises(ValueError, match=f"^dataset: {elsewhere}"):
            ik.infer(run, store=tmp_path)
    for data in (squares, squares.path, ik.load_dataset(squares)):
        with pytest.raises(ValueError, match=f"^dataset: {elsewhere}"):
            ik.train(data, store=tmp_path)
        with pytest.raises(ValueError, match=f"^dataset: {elsewhere}"):
            ik.infer("pretrained:tetrominoes", data, store=tmp_path)
    assert not list(tmp_path.glob("run/*")) and not list(tmp_path.glob("predictions/*"))


def test_a_run_is_inferred_on_its_own_data_set_wherever_its_store_is(
    squares: Artifact, trained: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IODINE_KIT_STORE", raising=False)
    settings = {"infer.device": "cpu", "infer.steps": 1, "infer.scenes": 2}
    expected = ik.infer(trained, squares, settings).path
    for run in (trained.path, str(trained.path), trained.path / "weights.safetensors", ik.load_model(trained.path)):
        assert ik.infer(run, settings=settings).path == expected


def test_notes_and_the_training_log_go_to_a_logger(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"train.steps": 2, "train.log_every": 1, "train.batch_size": 2, "train.device": "cpu", "model.steps": 1}
    small = {"model.decoder.channels": [4], "model.refinement.channels": [4], "model.refinement.kernel": 3}
    with caplog.at_level(logging.DEBUG, "iodine_kit"):
        small_images = ik.prepare("tetrominoes", generate=3, settings={"dataset.cell": 2}, store=tmp_path)
        run = ik.train(small_images, {**settings, **small, "train.batch_size": 1})
        ik.train(small_images, {**settings, **small, "train.batch_size": 1})
        ik.infer("pretrained:tetrominoes", small_images, {"infer.device": "cpu", "infer.restarts": 1})
    levels = {record.getMessage(): record.levelname for record in caplog.records if record.name == "iodine_kit"}
    assert levels[f"up to date: {run.path}"] == "DEBUG"
    preset = next(message for message in levels if message.startswith("model: preset "))
    assert levels[preset] == "INFO" and preset.endswith("(choose with the setting model.preset=NAME)")
    assert any(message.startswith("step 2 of 2: loss ") for message in levels)
    assert [level for message, level in levels.items() if "its masks may be poor" in message] == ["WARNING"]
