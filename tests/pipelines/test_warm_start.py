"""Warm start: a run that begins with another one's weights, or a file's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import TINY, Command
from unit.stages.artifact_builders import block_scenes, store_scenes
from unit.training.toy_model import Notes

from iodine_kit.config import parse_overrides
from iodine_kit.errors import (
    ArtifactNotFoundError,
    ConfigError,
    CorruptDataError,
    IodineKitError,
    SchemaError,
    SourceError,
    TimeLimitReached,
)
from iodine_kit.records import DatasetInfo
from iodine_kit.runner import Context, Job, obtain, run_stage
from iodine_kit.stages import compare, evaluate, infer, train
from iodine_kit.store import Artifact, Store
from iodine_kit.store.lineage import closure
from iodine_kit.training.run_files import WEIGHTS

STILL = "train.learning_rate=1e-30"
"""So small that a step changes no weight: what a run ends with is what it began with."""


@pytest.fixture
def dataset(tmp_path: Path) -> Artifact:
    return store_scenes(tmp_path / "data", {"train": block_scenes(8)}, DatasetInfo("blocks", 0, 0, 2))


def planned(dataset: Artifact, *settings: str) -> Job:
    defaults = [*TINY[1::2], "model.slots=2", "train.steps=3", "train.device='cpu'", "train.tensorboard=false"]
    tables: Mapping[str, Any] = parse_overrides([*defaults, *settings], train.TABLES)
    return train.plan(tables, {"dataset": dataset}, Context(Store.of(dataset), Notes()))


def made(dataset: Artifact, *settings: str, **how: Any) -> Artifact:
    return obtain(planned(dataset, *settings), Context(Store.of(dataset), Notes(), **how))


def are_equal(one: Path, other: Path) -> bool:
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("more", [(), ("train.ema=0.9",), ("model.slots=3", "model.steps=2", "model.beta=2.0")])
def test_a_run_begins_with_the_weights_of_another(dataset: Artifact, more: tuple[str, ...]) -> None:
    """Averages too, and with other K, T and β, which are no part of the weights."""
    first = made(dataset)
    begun = made(dataset, STILL, "train.seed=1", f"train.from={first.path}", *more)
    assert are_equal(begun.path / WEIGHTS, first.path / WEIGHTS)
    cold = made(dataset, STILL, "train.seed=1", *more)
    assert not are_equal(cold.path / WEIGHTS, first.path / WEIGHTS)


def test_the_run_is_an_input_and_the_file_a_source(dataset: Artifact, tmp_path: Path) -> None:
    first = made(dataset)
    by_run = planned(dataset, f"train.from={first.manifest.key[:8]}").identity
    assert by_run.inputs["start"] == first.reference and by_run.sources == ()
    file, copy = tmp_path / "w.safetensors", tmp_path / "copy.safetensors"
    shutil.copy(first.path / WEIGHTS, file)
    shutil.copy(file, copy)
    by_file = planned(dataset, f"train.from={file}").identity
    assert by_file.sources[0].sha256 == first.manifest.files[WEIGHTS].sha256 and "start" not in by_file.inputs
    assert planned(dataset, f"train.from={copy}").identity.key == by_file.key
    assert len({by_run.key, by_file.key, first.manifest.key}) == 3
    assert first.path in [one.path for one in closure(Store.of(dataset), [made(dataset, f"train.from={first.path}")])]


def test_without_it_identity_and_key_are_what_they_were(dataset: Artifact) -> None:
    plain = planned(dataset).identity
    assert "from" not in plain.config["train"] and list(plain.inputs) == ["dataset"] and plain.sources == ()
    assert planned(dataset, "train.from=none").identity.key == plain.key


def test_an_interrupted_run_goes_on_from_its_checkpoint_and_ends_the_same(dataset: Artifact) -> None:
    first = made(dataset)
    settings = ["train.seed=1", "train.ema=0.9", f"train.from={first.path}"]
    whole = (made(dataset, *settings).path / WEIGHTS).read_bytes()
    with pytest.raises(TimeLimitReached):
        made(dataset, *settings, "train.max_seconds=1e-9", overwrite=True)
    (checkpoint,) = Store.of(dataset).root.glob("run/.*.partial/checkpoint-*.safetensors")
    assert checkpoint.name == "checkpoint-000000001.safetensors"
    assert (made(dataset, *settings).path / WEIGHTS).read_bytes() == whole


def test_a_checkpoint_gives_the_weights_its_run_would_have_ended_with(dataset: Artifact, tmp_path: Path) -> None:
    settings = ["train.ema=0.5", "train.learning_rate=0.01", "train.schedule=constant"]
    with pytest.raises(TimeLimitReached):
        made(dataset, *settings, "train.max_seconds=1e-9")
    (found,) = Store.of(dataset).root.glob("run/.*.partial/checkpoint-*.safetensors")
    begun = made(dataset, STILL, f"train.from={found}")
    ended = made(dataset, *settings, "train.steps=1")
    assert are_equal(begun.path / WEIGHTS, ended.path / WEIGHTS)
    assert begun.facts["start"]["step"] == 1


def test_what_does_not_fit_is_named_before_anything_is_trained(dataset: Artifact) -> None:
    first = made(dataset)
    with pytest.raises(SchemaError, match=r"do not fit the model: 'initial' is \[6\] in the file and \[8\] in this"):
        made(dataset, "model.latent=4", f"train.from={first.path}")
    with pytest.raises(SchemaError, match=r"'refinement.convs.1.weight' is absent in the file and \[4, 4, 3, 3\]"):
        made(dataset, "model.refinement.channels=[4,4]", "model.refinement.stride=1", f"train.from={first.path}")
    assert not list(Store.of(dataset).root.glob("run/.*.partial"))


def test_the_models_configuration_is_that_of_the_run_unless_it_is_set(dataset: Artifact) -> None:
    first = made(dataset, "model.latent=3", "model.beta=7", "model.decoder.patch=2")
    bare = train.plan(
        {"train": {"from": str(first.path)}}, {"dataset": dataset}, Context(Store.of(dataset), Notes())
    ).identity.config["model"]
    assert bare == first.config["model"]
    asked = {"train": {"from": str(first.path)}, "model": {"beta": 2.0, "decoder": {"rgb": "sigmoid"}}}
    changed = train.plan(asked, {"dataset": dataset}, Context(Store.of(dataset), Notes())).identity.config["model"]
    assert changed == {**bare, "beta": 2.0, "decoder": {**bare["decoder"], "rgb": "sigmoid"}}


def test_a_schedule_of_the_kl_weight_that_starts_over_is_told(dataset: Artifact) -> None:
    rising = ["train.kl_schedule=linear", "train.kl_end=1", "train.steps=1"]
    first, notes = made(dataset, *rising), Notes()
    tables = parse_overrides([*rising, f"train.from={first.path}"], train.TABLES)
    train.plan(tables, {"dataset": dataset}, Context(Store.of(dataset), notes))
    assert any("starts again at train.kl_from, 1" in told for told in notes.texts)


def test_what_is_no_start_is_told_in_a_sentence(dataset: Artifact, tmp_path: Path) -> None:
    text, broken = tmp_path / "text.safetensors", tmp_path / "nan.safetensors"
    text.write_text("no weights")
    weights = load_file(made(dataset).path / WEIGHTS)
    save_file(weights | {"initial": torch.full_like(weights["initial"], torch.nan)}, broken)
    cases: list[tuple[object, type[IodineKitError], str]] = [
        (tmp_path / "gone.safetensors", SourceError, "gone.safetensors: no such file"),
        ("iodine-nothing-abcd1234", ArtifactNotFoundError, "no such artifact"),
        (dataset.path, ArtifactNotFoundError, "has kind 'dataset', but 'run' is required"),
        (text, CorruptDataError, "cannot be read as safetensors"),
        (broken, SchemaError, "'initial' contains values that are not finite"),
        ("3", ConfigError, "train.from: name a run or a .safetensors file"),
    ]
    for place, error, told in cases:
        with pytest.raises(error) as caught:
            made(dataset, f"train.from={place}")
        assert told in str(caught.value) and "\n" not in str(caught.value)


def test_seeds_of_one_recipe_are_one_model_and_another_start_is_another(dataset: Artifact) -> None:
    store, evaluations = Store.of(dataset), []
    for start, seed in ((None, 0), (1, 1), (2, 2)):
        begun = [] if start is None else [f"train.from={made(dataset, f'train.seed={start}').path}"]
        run = made(dataset, f"train.seed={seed}", "train.steps=1", *begun)
        job = infer.plan(
            {"infer": {"split": "train"}}, {"run": run, "dataset": dataset}, Context(Store.of(dataset), Notes())
        )
        predictions = obtain(job, Context(store, Notes()))
        planned_eval = evaluate.plan(
            {"eval": {"metrics": ["ari-all"]}},
            {"predictions": predictions, "dataset": dataset},
            Context(Store.of(dataset), Notes()),
        )
        evaluations.append(obtain(planned_eval, Context(store, Notes())))
    facts = run_stage(compare, {}, compare.numbered(evaluations), Context(store, Notes())).facts
    assert [model["seeds"] for model in facts["models"]] == [[0], [1, 2]]


@pytest.mark.slow
def test_on_the_command_line_and_in_a_pipeline(iodine_kit: Command, tmp_path: Path) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 30, "--set", "dataset.cell=2")
    first = iodine_kit("train", *TINY, "--set", "train.steps=1").stdout.strip()
    begun = iodine_kit("train", *TINY, "--set", "train.steps=2", "--from", first).stdout.strip()
    manifest = json.loads((tmp_path / begun / "manifest.json").read_text())
    assert manifest["identity"]["inputs"]["start"]["name"] == "iodine-tetrominoes"
    assert f"run/{Path(first).name}\n" in iodine_kit("show", begun).stdout
    (tmp_path / "start.toml").write_text(f'[train]\nsteps = 2\nfrom = "{first}"\n')
    again = iodine_kit("train", *TINY, "--pipeline", "start.toml")
    assert again.stdout.strip() == begun and "up to date" in again.stderr
    other = iodine_kit("train", *TINY, "--set", "model.latent=5", "--from", f"{first}/weights.safetensors", status=7)
    assert other.stderr.strip().splitlines()[-1].startswith("error: train.from") and "'initial'" in other.stderr
    iodine_kit("verify", begun)
