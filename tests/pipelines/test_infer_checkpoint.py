"""Segmenting with a run that is being trained, or was interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from filelock import FileLock
from support import TINY, Command
from unit.stages.artifact_builders import block_scenes, store_scenes
from unit.training.toy_model import Notes

from iodine_kit.artifacts.trained_model import TrainedModel, behind, of_run
from iodine_kit.artifacts.unfinished_run_model import at_checkpoint
from iodine_kit.config import parse_overrides
from iodine_kit.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    IodineKitError,
    SchemaError,
    TimeLimitReached,
)
from iodine_kit.records import DatasetInfo
from iodine_kit.runner import Context, obtain, run_stage
from iodine_kit.stages import infer, train
from iodine_kit.store import Artifact, Store

SETTINGS = [*TINY[1::2], "model.slots=2", "model.beta=8.0", "train.device='cpu'", "train.tensorboard=false",
            "train.schedule=constant", "train.learning_rate=0.01"]  # fmt: skip
RISING = ["train.kl_schedule=geometric", "train.kl_from=0.5", "train.kl_begin=0", "train.kl_end=4"]
SPENT = "train.max_seconds=1e-9"
"""Stops a run after every step, with a checkpoint."""


@pytest.fixture
def dataset(tmp_path: Path) -> Artifact:
    made = block_scenes(8)
    return store_scenes(tmp_path / "data", {"train": made, "test": made[:5]}, DatasetInfo("blocks", 0, 0, 2))


def trained(dataset: Artifact, *settings: str, **how: Any) -> Artifact:
    tables: Any = parse_overrides([*SETTINGS, *settings], train.TABLES)
    return run_stage(train, tables, {"dataset": dataset}, Context(Store.of(dataset), Notes(), **how))


def interrupted(dataset: Artifact, *settings: str, after: int = 1) -> Path:
    """The folder of a run of 4 steps that stopped after fewer."""
    for _ in range(after):
        with pytest.raises(TimeLimitReached):
            trained(dataset, "train.steps=4", SPENT, *settings)
    (folder,) = Store.of(dataset).root.glob("run/.*.partial")
    return folder


def predicted(dataset: Artifact, model: TrainedModel) -> dict[str, np.ndarray]:
    job = infer.plan({}, {"dataset": dataset}, Context(Store.of(dataset), Notes()), model)
    made = obtain(job, Context(Store.of(dataset), Notes()))
    with h5py.File(made.path / "predictions.h5") as file:
        return {name: file[name][:] for name in file if name != "key"}


def at(dataset: Artifact, place: object, run: object = None, notes: Notes | None = None) -> TrainedModel:
    return at_checkpoint(Store.of(dataset), str(place), None if run is None else str(run), notes or Notes())


@contextmanager
def no_lock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Taking a lock, be it for a moment, could make a run that begins then believe that it is being made already."""

    def refuse(*_: object) -> None:
        raise AssertionError("a lock was taken")

    with monkeypatch.context() as patch:
        patch.setattr(FileLock, "acquire", refuse)
        yield


@pytest.mark.parametrize("more", [[], ["train.ema=0.5"], ["train.validate_every=1", "train.validate_split=test"]])
def test_it_predicts_what_a_run_that_ended_there_predicts(dataset: Artifact, more: list[str]) -> None:
    folder = interrupted(dataset, *more, after=2)
    ended = predicted(dataset, of_run(trained(dataset, "train.steps=2", *more)))
    for place in ("latest", 2, folder / "checkpoint-000000002.safetensors"):
        found = predicted(dataset, at(dataset, place))
        assert found.keys() == ended.keys()
        for name, values in found.items():
            assert np.array_equal(values, ended[name]), name


def test_the_best_weights_are_taken_where_the_run_keeps_them(dataset: Artifact) -> None:
    more = ["train.validate_every=1", "train.validate_split=test", "train.select=best-elbo", "train.learning_rate=1.0"]
    interrupted(dataset, *more, after=3)
    ended = trained(dataset, "train.steps=3", *more)
    model = at(dataset, "latest")
    assert model.facts["step"] == 3 and model.facts["weights_step"] == ended.facts["weights"]["step"] < 3
    assert np.array_equal(predicted(dataset, model)["elbo"], predicted(dataset, of_run(ended))["elbo"])


def test_beta_is_that_of_the_step(dataset: Artifact) -> None:
    """The second of four steps is a quarter of the way from 0.5 to 8 by equal factors, and inference sees it."""
    interrupted(dataset, *RISING, after=2)
    model = at(dataset, "latest")
    assert float(model.load().beta) == pytest.approx(1) and model.settings["model"]["beta"] == pytest.approx(1)
    found = predicted(dataset, model)
    other = {**model.settings["model"], "beta": 8.0}
    constant = TrainedModel("b", model.plugin, model.plugin.Config(**{k: v for k, v in other.items() if k != "name"}),
                            model.tensors)  # fmt: skip
    assert not np.array_equal(found["elbo"], predicted(dataset, constant)["elbo"])


def test_a_finished_run_that_kept_earlier_weights_has_their_beta(dataset: Artifact) -> None:
    more = ["train.validate_every=1", "train.validate_split=test", "train.select=best-elbo", "train.learning_rate=1.0"]
    run = trained(dataset, "train.steps=4", *RISING, *more)
    step = run.facts["weights"]["step"]
    assert step < 4 and float(of_run(run).load().beta) == pytest.approx(0.5 * 16 ** ((step - 1) / 4))
    assert float(of_run(trained(dataset, "train.steps=4", *RISING)).load().beta) == pytest.approx(0.5 * 16 ** (3 / 4))


def test_the_predictions_say_where_they_come_from_and_keep_the_weights(dataset: Artifact) -> None:
    folder = interrupted(dataset, "train.ema=0.5")
    data = (folder / "checkpoint-000000001.safetensors").read_bytes()
    model = at(dataset, "latest")
    made = obtain(
        infer.plan({}, {"dataset": dataset}, Context(Store.of(dataset), Notes()), model),
        Context(Store.of(dataset), Notes()),
    )
    identity = made.manifest.identity
    assert identity.config["model"]["name"] == "iodine" and "weights" not in identity.config  # a key knows the bytes
    told = made.facts["weights"]
    assert told["step"] == 1 and told["run"] == f"run/{folder.name.removeprefix('.').removesuffix('.partial')}"
    assert [(source.name, source.bytes) for source in identity.sources] == [
        ("checkpoint-000000001.safetensors", len(data))
    ]
    assert made.facts["model"] == "iodine-blocks, checkpoint after step 1"
    for path in folder.iterdir():
        path.unlink()
    again, kept = model.load(), behind(made, Store.of(dataset)).load()
    for name, value in again.state_dict().items():
        assert (value == kept.state_dict()[name]).all(), name
    assert kept.beta == again.beta


def test_reading_takes_no_lock_and_changes_nothing(dataset: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interrupted(dataset, after=2)
    before = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}
    with no_lock(monkeypatch):
        at(dataset, "latest"), at(dataset, 1), at(dataset, "latest", folder.name), at(dataset, "latest", folder)
        at(dataset, "latest", folder.name.removeprefix(".").removesuffix(".partial"))
        at(dataset, "latest", folder.name.split("-")[-1].removesuffix(".partial"))
    assert {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")} == before


def test_of_a_damaged_checkpoint_the_one_before_is_taken_and_nothing_removed(dataset: Artifact) -> None:
    newest = interrupted(dataset, after=2) / "checkpoint-000000002.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1] + b"\0")
    notes = Notes()
    assert at(dataset, "latest", notes=notes).facts["step"] == 1
    assert "is damaged" in notes.texts[0] and newest.exists()
    with pytest.raises(ArtifactCorruptError, match="is damaged"):
        at(dataset, 2)


def test_a_run_that_moves_on_meanwhile_is_looked_at_again_and_one_that_ends_is_told_of(
    dataset: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints that are too many go, and a run that ends takes its folder along, between listing and reading."""
    folder, read = interrupted(dataset, after=2), Path.read_bytes
    older, newest = sorted(folder.glob("checkpoint-*"))

    def moved_on(path: Path) -> bytes:
        if path == newest and newest.exists():
            newest.rename(folder / "checkpoint-000000003.safetensors")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", moved_on)
        assert at(dataset, "latest").sources[0].name == "checkpoint-000000003.safetensors"

    def ended(path: Path) -> bytes:
        if path.name.startswith("checkpoint-"):
            folder.rename(folder.with_name("iodine-blocks-ended"))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", ended)
    with pytest.raises(ArtifactNotFoundError, match="this run has finished meanwhile"):
        at(dataset, "latest", folder)
    assert older.name == "checkpoint-000000001.safetensors"


def test_missing_checkpoints_are_named_in_one_sentence(dataset: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match="holds no unfinished run with a checkpoint: omit --checkpoint"):
        at(dataset, "latest")
    finished = trained(dataset, "train.steps=1")
    folder = interrupted(dataset, after=2)
    cases: list[tuple[object, object, type[IodineKitError], str]] = [
        ("latest", finished.path, ArtifactNotFoundError, "is finished and has no checkpoints: omit --checkpoint"),
        ("latest", "iodine-nothing", ArtifactNotFoundError, "no such artifact"),
        (7, None, ArtifactNotFoundError, "no checkpoint '7'; there are checkpoints after steps 1, 2"),
        ("newest", None, ArtifactNotFoundError, "no checkpoint 'newest'; there are"),
        (finished.path / "weights.safetensors", None, SchemaError, "holds weights, but is not a checkpoint"),
        (folder / "identity.json", None, ArtifactCorruptError, "cannot be read as safetensors"),
    ]
    for place, run, error, told in cases:
        with pytest.raises(error) as caught:
            at(dataset, place, run)
        assert told in str(caught.value) and "\n" not in str(caught.value)
    for path in folder.glob("checkpoint-*"):
        path.unlink()
    with pytest.raises(ArtifactNotFoundError, match=r"there are none yet: see train\.checkpoint_every"):
        at(dataset, "latest", folder)


@pytest.mark.slow
def test_a_run_that_is_going_on_can_be_looked_at_down_to_the_report(iodine_kit: Command, tmp_path: Path) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 60, "--set", "dataset.cell=2", "--split", "train=40",
               "--split", "test=20")  # fmt: skip
    command = ["train", *TINY, "--set", "train.steps=1000000", "--set", "train.checkpoint_every=3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    training = subprocess.Popen(
        [sys.executable, "-m", "iodine_kit", *command], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        while not list(tmp_path.glob("data/run/.*.partial/checkpoint-*.safetensors")):
            assert training.poll() is None, training.stderr
            time.sleep(0.1)
        done = iodine_kit("infer", "--checkpoint", "latest", "--json")
        assert training.poll() is None
    finally:
        training.send_signal(signal.SIGINT)
        assert training.wait(60) == 130
    facts = json.loads(done.stdout)
    step = facts["weights"]["step"]
    assert step % 3 == 0 and f"checkpoint after step {step:,}" in done.stderr
    iodine_kit("eval", "--metric", "ari")
    iodine_kit("probe", "--set", "probe.folds=2")
    iodine_kit("traverse", "--set", "traverse.dimensions=2")
    page = (tmp_path / iodine_kit("report").stdout.strip() / "index.html").read_text("utf-8")
    assert f"iodine-tetrominoes, checkpoint after step {step:,}" in page and ", imported" not in page
    first = iodine_kit("eval", "--metric", "ari").stdout.strip()
    iodine_kit("infer", "--checkpoint", "latest")
    second = iodine_kit("eval", "--metric", "ari").stdout.strip()
    compared = iodine_kit("compare", first, second)
    assert compared.stderr.count("checkpoint after step") >= 2
    iodine_kit("verify", first)
    refused = iodine_kit("infer", "--checkpoint", "1", status=10)
    assert refused.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "resuming after step" in iodine_kit(*command, "--set", "train.max_seconds=1e-9", status=75).stderr
