"""Evaluations and probes in units: interrupted, in several processes. The bytes are those of one go."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.stages import deadly_format
from unit.stages.artifact_builders import store_scenes
from unit.stages.foreseen import store_predictions
from unit.training.toy_model import Notes

from iodine_kit.artifacts.predictions_and_truth import batch_size
from iodine_kit.engines import EngineConfig
from iodine_kit.errors import SchemaError
from iodine_kit.records import Array, DatasetInfo, Scene
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import evaluate, probe
from iodine_kit.store import Artifact, Store
from iodine_kit.units import scenes

SCENES, UNITS = 23, 6
TABLES: Any = {"eval": {"resamples": 5}, "probe": {"folds": 2, "resamples": 5}}
FITS = 3 * 2
EXPECTED: dict[Any, dict[str, str]] = {}
"""By stage: what it makes without units."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Scenes of zero to two bars, and predictions with latents that know their heights."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("scenes")
    scenes, latents = [], rng.normal(size=(SCENES, 3, 4)).astype(np.float32)
    for number in range(SCENES):
        mask, height = np.zeros((8, 8), np.uint8), rng.integers(1, 8, 3).astype(np.float32)
        for bar in range(1, 1 + number % 3):
            mask[: int(height[bar]), 3 * bar : 3 * bar + 2] = bar
            latents[number, bar, 0] = height[bar]
        image = rng.integers(0, 255, (8, 8, 3), np.uint8)
        scenes.append(Scene(f"scene {number}", image, mask, {"height": height, "kind": height > 3}))
    dataset = store_scenes(root, {"test": scenes}, DatasetInfo("bars", 0, 0, 3))
    guess = np.stack([np.where(rng.random((8, 8)) < 0.1, 0, scene.mask).astype(np.uint8) for scene in scenes])
    fields: dict[str, Array] = {
        "reconstruction": rng.random((SCENES, 8, 8, 3), np.float32), "step_mask": np.stack([guess, guess], 1),
        "latent_loc": latents, "latent_scale": np.full_like(latents, 0.5),
    }  # fmt: skip
    keys = [scene.key for scene in scenes]
    return {"dataset": dataset, "predictions": store_predictions(root, dataset, guess, keys=keys, slots=3, **fields)}


@pytest.fixture(autouse=True)
def _few_scenes_per_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in (evaluate, probe):
        monkeypatch.setattr(stage, "unit_size", lambda pixels, batch: 4)
    monkeypatch.setattr(probe, "FEW_OBJECTS", 0)


def made(stage: Any, stored: Mapping[str, Artifact], **options: Any) -> Artifact:
    return run_stage(stage, TABLES, stored, Context(Store.of(stored["dataset"]), **{"reporter": Notes(), **options}))


def files(artifact: Artifact) -> dict[str, str]:
    """Hashes of all files but the manifest, as they are on the disk, and of the facts."""
    paths = [path for path in artifact.path.iterdir() if path.name != "manifest.json"]
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return {**hashes, "facts": artifact.manifest.facts_sha256}


def in_one_go(stage: Any, stored: Mapping[str, Artifact]) -> dict[str, str]:
    """What the stage makes without units; the artifact is removed again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "unit_size", lambda pixels, batch: 100)
        patch.setattr(stage, "make_units", None)
        patch.setattr(probe, "FEW_OBJECTS", 1000)
        artifact = made(stage, stored, overwrite=True)
    found = files(artifact)
    shutil.rmtree(artifact.path)
    return found


class Interrupted:
    """Stands for ``write_arrays`` of a stage: raises an error before a unit is complete; counts complete ones."""

    def __init__(self, stage: Any, patch: pytest.MonkeyPatch) -> None:
        self.after, self.error, self.written = 10**9, BaseException(), 0
        self._write: Callable[[Path, Mapping[str, Array]], None] = stage.write_arrays
        patch.setattr(stage, "write_arrays", self)

    def __call__(self, path: Path, arrays: Mapping[str, Array]) -> None:
        if path.suffix == ".tmp" and path.name.startswith("."):  # a unit, and not what the workers of fits read
            if self.written == self.after:
                raise self.error
            self.written += 1
        self._write(path, arrays)


@pytest.mark.parametrize(("stage", "units"), [(evaluate, UNITS), (probe, UNITS + FITS)], ids=["eval", "probe"])
@given(attempts=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([KeyboardInterrupt, OSError])), max_size=4))
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_interruptions_change_no_byte_and_finished_units_are_not_made_again(
    stage: Any, units: int, stored: dict[str, Artifact], attempts: list[tuple[int, type[BaseException]]]
) -> None:
    written = 0
    if stage not in EXPECTED:
        EXPECTED[stage] = in_one_go(stage, stored)
    with pytest.MonkeyPatch.context() as patch:
        stopped = Interrupted(stage, patch)
        for after, error in attempts:
            stopped.after, stopped.error, stopped.written = after, error(), 0
            with pytest.raises((KeyboardInterrupt, Exception)) as raised:
                made(stage, stored)
                raise StopIteration  # complete
            written += stopped.written
            if isinstance(raised.value, StopIteration):
                break
            if isinstance(raised.value, KeyboardInterrupt) and written:
                assert "finished units are kept; run the same command again to resume" in str(raised.value)
        stopped.after, stopped.written = 10**9, 0
        artifact = made(stage, stored)
    assert written + stopped.written == units and files(artifact) == EXPECTED[stage]
    assert Store.of(artifact).verify(artifact) == []
    shutil.rmtree(artifact.path)


def test_an_error_that_would_come_again_keeps_nothing(stored: dict[str, Artifact]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stopped = Interrupted(evaluate, patch)
        stopped.after, stopped.error = 3, SchemaError("not finite")
        with pytest.raises(SchemaError, match="not finite"):
            made(evaluate, stored)
    assert not list(Store.of(stored["dataset"]).root.glob("evaluation/.*.partial"))


def test_two_processes_one_of_which_is_killed_make_the_same_bytes(stored: dict[str, Artifact]) -> None:
    dataset, notes = stored["dataset"], Notes()
    facts = {**dataset.facts, "format": "unit.stages.deadly_format"}
    deadly = replace(dataset, manifest=dataset.manifest.model_copy(update={"facts": facts}))
    expected = in_one_go(evaluate, stored)
    artifact = made(evaluate, {**stored, "dataset": deadly}, engine=EngineConfig(workers=2), reporter=notes)
    assert deadly_format.marker(dataset.path).exists() and "a worker was lost" in " ".join(notes.texts)
    assert files(artifact) == expected


def test_units_are_whole_batches_whose_size_depends_on_the_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for side in (8, 35, 64, 128, 1024):
        batch = batch_size(side * side)
        size = scenes.unit_size(side * side, batch)
        assert size % batch == 0 and batch <= size <= max(batch, scenes.MOST_SCENES)
        parts = [scenes.scenes_of(number, size, 9999) for number in range(scenes.number_of_units(size, 9999))]
        assert [scene for part in parts for scene in part] == list(range(9999))


def test_one_unit_is_scored_in_this_process_and_a_note_says_so(
    stored: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # of a small size of units
    notes = Notes()
    engine = EngineConfig(name="dask", address="tcp://127.0.0.1:1")
    made(evaluate, stored, engine=engine, reporter=notes, overwrite=True)
    assert "are one unit: this process scores it, and not the engine 'dask'" in " ".join(notes.texts)
