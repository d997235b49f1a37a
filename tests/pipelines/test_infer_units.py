"""Inference in units: interrupted, on several processes, on several ranks. The bytes are those of one go."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import TINY
from unit.stages import deadly_format
from unit.stages.artifact_builders import block_scenes, store_scenes
from unit.training.toy_model import Notes

from iodine_kit.artifacts.dataset import open_split
from iodine_kit.artifacts.trained_model import of_run
from iodine_kit.config import parse_overrides
from iodine_kit.engines import EngineConfig
from iodine_kit.engines.local import THREADS
from iodine_kit.errors import ConfigError, DivergedError, StorageError
from iodine_kit.inference import ALL_FIELDS, InferenceOptions, infer_batch, to_prediction
from iodine_kit.loader import in_order
from iodine_kit.predictions.file import PredictionWriter
from iodine_kit.records import DatasetInfo
from iodine_kit.runner import Context, find_interrupted, obtain, run_stage
from iodine_kit.stages import infer, train
from iodine_kit.stages.infer import segment
from iodine_kit.store import Artifact, Store
from iodine_kit.training.distributed import World

SETTINGS = [*TINY[1::2], "model.slots=2", "train.device='cpu'", "train.tensorboard=false", "train.steps=1"]
SCENES, BATCH = 13, 2
BATCHES, UNITS = 7, 4
SLOTS = DECODES = 2
TABLES = {"infer": {"batch_size": BATCH, "device": "cpu"}}


@pytest.fixture(autouse=True)
def two_batches_per_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "WORK_OF_A_UNIT", 2 * BATCH * 6 * 6 * SLOTS * DECODES)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Artifact]:
    scenes = block_scenes(SCENES)
    dataset = store_scenes(tmp_path / "data", {"train": scenes, "test": scenes}, DatasetInfo("blocks", 0, 0, 2))
    tables: Any = parse_overrides(SETTINGS, train.TABLES)
    run = run_stage(train, tables, {"dataset": dataset}, Context(Store.of(dataset), Notes()))
    return {"run": run, "dataset": dataset}


def context(inputs: dict[str, Artifact], **options: Any) -> Context:
    return Context(Store.of(inputs["dataset"]), **{"reporter": Notes(), **options})


@pytest.fixture
def expected(inputs: dict[str, Artifact], tmp_path: Path) -> str:
    """Hash of the file that a loop over all batches writes."""
    path = tmp_path / "once.h5"
    model, reader = of_run(inputs["run"]).load(), open_split(inputs["dataset"], "test")
    with PredictionWriter(path, SCENES) as writer:
        for number, batch in enumerate(in_order(reader, BATCH, SCENES)):
            inference = infer_batch(model, batch.image, number, InferenceOptions())
            writer.append(to_prediction(batch.keys, inference, ALL_FIELDS))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(predictions: Artifact) -> dict[str, str]:
    """Hashes of all files but the manifest, as they are on the disk."""
    paths = [path for path in predictions.path.iterdir() if path.name != "manifest.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


class Stopped:
    """Stands for :func:`infer_batch`; stops the work before a batch, and remembers the batches that it made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.after, self.error, self.made = 10**9, BaseException(), list[int]()
        monkeypatch.setattr(segment, "infer_batch", self)

    def __call__(self, model: Any, images: Any, number: int, options: Any) -> Any:
        if len(self.made) == self.after:
            raise self.error
        self.made.append(number)
        return infer_batch(model, images, number, options)

    def run(self, inputs: dict[str, Artifact], after: int, error: BaseException, **options: Any) -> Artifact | None:
        """Infer until ``error`` is raised after so many batches."""
        self.after, self.error, self.made = after, error, []
        try:
            return run_stage(infer, TABLES, inputs, context(inputs, **options))
        except type(error) as raised:
            kept = bool(list(Store.of(inputs["dataset"]).root.glob("predictions/.*.partial")))
            promised = "finished scenes are kept; run the same command again" in str(raised)
            assert isinstance(raised, StorageError | DivergedError) or promised == kept
            return None


@given(attempts=st.lists(st.tuples(st.integers(0, 7), st.sampled_from([KeyboardInterrupt, StorageError])), max_size=5))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_interruptions_change_no_byte_and_finished_units_are_not_made_again(
    inputs: dict[str, Artifact], expected: str, attempts: list[tuple[int, type[BaseException]]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stopped, finished = Stopped(patch), set[int]()
        shutil.rmtree(Store.of(inputs["dataset"]).root / "predictions", ignore_errors=True)
        for after, error in [*attempts, (99, KeyboardInterrupt)]:
            notes = Notes()
            found = stopped.run(inputs, after, error("stopped"), reporter=notes)
            units = [batch // 2 for batch in stopped.made]
            assert not finished & set(units)
            assert bool(finished) == any(
                text.startswith("resuming the interrupted predictions/") for text in notes.texts
            )
            finished |= {batch // 2 for batch in stopped.made if batch % 2 or batch == BATCHES - 1}
            if found:
                break
            job = infer.plan(TABLES, inputs, context(inputs))
            assert (find_interrupted(job, context(inputs)) is not None) == bool(finished)
        assert found and finished == set(range(UNITS)) and files(found) == {"predictions.h5": expected}
        assert Store.of(found).verify(found) == []


def test_overwrite_starts_again_and_a_loss_that_is_not_finite_keeps_nothing(
    inputs: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Stopped(monkeypatch)
    assert stopped.run(inputs, 5, KeyboardInterrupt()) is None
    (draft,) = Store.of(inputs["dataset"]).root.glob("predictions/.*.partial")
    assert stopped.run(inputs, 1, KeyboardInterrupt(), overwrite=True) is None
    assert stopped.made == [0] and not draft.exists()
    assert stopped.run(inputs, 5, DivergedError("not finite")) is None and not draft.exists()


def test_two_processes_one_of_which_is_killed_make_the_same_bytes(inputs: dict[str, Artifact], expected: str) -> None:
    dataset, notes = inputs["dataset"], Notes()
    facts = {**dataset.facts, "format": "unit.stages.deadly_format"}
    deadly = replace(dataset, manifest=dataset.manifest.model_copy(update={"facts": facts}))
    running = context(inputs, engine=EngineConfig(workers=2), reporter=notes)
    found = run_stage(infer, TABLES, {**inputs, "dataset": deadly}, running)
    assert deadly_format.marker(dataset.path).exists() and "a worker was lost" in " ".join(notes.texts)
    assert files(found) == {"predictions.h5": expected}


def test_units_of_a_model_that_no_run_holds(
    inputs: dict[str, Artifact], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are copied into the artifact first: workers read them there."""
    stopped = Stopped(monkeypatch)
    model = replace(of_run(inputs["run"]), inputs={}, weights=None, title="of a checkpoint")
    job = infer.plan(TABLES, inputs, context(inputs), model)
    stopped.after, stopped.error = 3, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        obtain(job, context(inputs))
    stopped.after = 99
    found = obtain(job, context(inputs))
    assert stopped.made == [0, 1, 2, *range(2, BATCHES)]
    weights = hashlib.sha256((inputs["run"].path / "weights.safetensors").read_bytes()).hexdigest()
    assert files(found) == {"predictions.h5": expected, "weights.safetensors": weights}


def test_ranks_share_the_work_of_the_engine_only(inputs: dict[str, Artifact]) -> None:
    world = World()
    world.size = 2
    with pytest.raises(ConfigError, match="torchrun started 2 processes, which share the work: omit --engine"):
        infer.plan(TABLES, inputs, context(inputs, world=world, engine=EngineConfig(workers=2)))


def test_a_unit_takes_as_many_batches_as_its_images_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    config = infer.InferConfig(slots=4, steps=5, batch_size=32)
    small, large = (segment.batches_of_a_unit(config, side, side) for side in (35, 240))
    assert small > 1 and large == 1
    assert segment.batches_of_a_unit(config.model_copy(update={"restarts": 100}), 35, 35) == 1


@pytest.mark.parametrize(
    ("asked", "variables", "process", "meant"),
    [
        ("auto", {}, "SpawnProcess-4", "auto"),
        ("auto", {THREADS: "1"}, "SpawnProcess-4", "cuda:0"),
        ("cuda", {THREADS: "1"}, "SpawnProcess-5", "cuda:1"),
        ("cuda:2", {THREADS: "1"}, "SpawnProcess-5", "cuda:2"),
        ("cpu", {THREADS: "1"}, "SpawnProcess-5", "cpu"),
    ],
)
def test_workers_of_a_machine_take_its_gpus_in_turn(
    monkeypatch: pytest.MonkeyPatch, asked: str, variables: dict[str, str], process: str, meant: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(multiprocessing.current_process(), "name", process)
    monkeypatch.delenv(THREADS, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert segment.own_device(asked) == meant


def test_a_worker_uses_its_share_of_the_cores_unless_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    assert segment.own_threads() == 0
    monkeypatch.setenv(THREADS, "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert segment.own_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert segment.own_threads() == 0
