"""A store that earlier commits made stays valid: its artifacts are up to date, and rebuilding them gives its numbers.

``tests/data/recorded_store.tar.xz`` holds what two commits made of ``tests/data/recorded.toml``: 96909b1 the data set,
26dfc2b all other artifacts. Between them models and training got new keys, and inference and ARI new versions, so that
only data sets of 96909b1 are still up to date.
"""

from __future__ import annotations

import json
import math
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from iodine_kit import pipeline
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages.train import draw_curves
from iodine_kit.store import Artifact, Store

DATA = Path(__file__).parents[1] / "data"
KINDS = {"dataset", "run", "predictions", "evaluation", "probe", "traversal", "report"}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    with tarfile.open(DATA / "recorded_store.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return Context(Store(tmp_path / "data"))


def chain(store: Store) -> dict[str, Artifact]:
    return {kind: store.newest(kind, "") for kind in KINDS}


def test_every_recorded_artifact_is_up_to_date(context: Context) -> None:
    planned = pipeline.plan(pipeline.load(str(DATA / "recorded.toml")), context)
    assert {stage.stage: stage.status for stage in planned} == dict.fromkeys(KINDS, "fresh")
    before = {role: artifact.manifest.key for role, artifact in chain(context.store).items()}
    made = pipeline.run(pipeline.load(str(DATA / "recorded.toml")), context)
    assert {role: artifact.manifest.key for role, artifact in made.items()} == before


@pytest.mark.parametrize("stage", ["evaluation", "probe"])
def test_a_rebuilt_result_has_the_recorded_numbers(context: Context, stage: str) -> None:
    recorded = chain(context.store)
    tables = pipeline.load(str(DATA / "recorded.toml"))
    before = json.loads((recorded[stage].path / "summary.json").read_text("utf-8"))
    inputs = {role: recorded[role] for role in pipeline.STAGES[stage].INPUTS}
    again = run_stage(pipeline.STAGES[stage], tables, inputs, replace(context, overwrite=True))
    assert_same(json.loads((again.path / "summary.json").read_text("utf-8")), before)


def test_the_data_set_is_generated_to_the_same_bytes(context: Context) -> None:
    recorded = chain(context.store)["dataset"].manifest
    tables = pipeline.load(str(DATA / "recorded.toml"))
    again = run_stage(pipeline.STAGES["dataset"], tables, {}, replace(context, overwrite=True)).manifest
    shards = [path for path in recorded.files if path.endswith(".h5")]
    assert len(shards) == 3 and all(again.files[path] == recorded.files[path] for path in shards)


def test_training_and_inference_give_the_recorded_numbers(context: Context, tmp_path: Path) -> None:
    """Up to what the arithmetic of another CPU may change."""
    recorded = chain(context.store)
    weights = load_file(recorded["run"].path / "weights.safetensors")
    masks, elbo = inferred(recorded["predictions"])
    tables = pipeline.load(str(DATA / "recorded.toml"))
    made = run_stage(pipeline.STAGES["run"], tables, {"dataset": recorded["dataset"]}, replace(context, overwrite=True))
    for name, values in load_file(made.path / "weights.safetensors").items():
        np.testing.assert_allclose(values, weights[name], atol=1e-4, err_msg=name)
    inputs = {"run": made, "dataset": recorded["dataset"]}
    again = run_stage(pipeline.STAGES["predictions"], tables, inputs, replace(context, overwrite=True))
    new_masks, new_elbo = inferred(again)
    assert (new_masks == masks).mean() > 0.99
    np.testing.assert_allclose(new_elbo, elbo, rtol=1e-3)


def inferred(predictions: Artifact) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    with h5py.File(predictions.path / "predictions.h5") as file:
        return file["mask"][:], file["elbo"][:]


def assert_same(made: Any, recorded: Any, place: str = "") -> None:
    """The same structure and numbers; sentences for people may be reworded."""
    assert type(made) is type(recorded), place
    if isinstance(recorded, dict):
        assert list(made) == list(recorded), place
        for key, value in recorded.items():
            assert_same(made[key], value, f"{place}.{key}")
    elif isinstance(recorded, list):
        assert len(made) == len(recorded), place
        for index, value in enumerate(recorded):
            assert_same(made[index], value, f"{place}[{index}]")
    elif isinstance(recorded, float):
        # An MLP probe that another release of scikit-learn trains has another score, by 7e-8.
        assert math.isclose(made, recorded, rel_tol=1e-6), place
    elif not isinstance(recorded, str):
        assert made == recorded, place


def test_the_curves_of_a_recorded_log_are_drawn_to_the_same_bytes(context: Context, tmp_path: Path) -> None:
    """They are part of a run's content: other bytes would make all that depends on a rebuilt run stale."""
    run = chain(context.store)["run"].path
    shutil.copy(run / "metrics.jsonl", tmp_path)
    draw_curves(tmp_path, "Training on tetrominoes")
    assert (tmp_path / "curves.svg").read_bytes() == (run / "curves.svg").read_bytes()


def test_a_plan_to_overwrite_says_so_and_changes_nothing(context: Context) -> None:
    tables = pipeline.load(str(DATA / "recorded.toml"))
    before = {path: path.stat().st_mtime_ns for path in context.store.root.rglob("*") if path.is_file()}
    first, *others = pipeline.plan(tables, replace(context, overwrite=True))
    assert (first.status, first.because) == ("stale", "it is to be overwritten")
    assert {stage.status for stage in others} == {"waiting"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
