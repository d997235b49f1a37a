"""Every study on a tiny data set with a tiny model, and one of them from the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support import TINY, Command

from iodine_kit import pipeline as pipelines
from iodine_kit.cli.options import input_artifact
from iodine_kit.config import merge, parse_overrides
from iodine_kit.errors import ConfigError
from iodine_kit.progress import Silent
from iodine_kit.registry import required_members
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import infer, prepare, train
from iodine_kit.store import Store
from iodine_kit.studies import STUDIES, study

BASE = """
[prepare]
dataset = "tetrominoes"
generate = 14
split = { train = 8, val = 2, test = 4 }
[dataset]
cell = 1
[train]
steps = 2
threads = 1
[model]
slots = 3
[infer]
batch_size = 4
threads = 1
"""
TINY_SETTINGS = TINY[1::2]
SMALL = {
    "inputs": ["study.leave_out=['image', 'dmask']", "study.seeds=[0, 1]", "train.steps=1"],
    "steps": ["study.steps=[0, 1, 3]"],
    "slots": ["study.slots=[2, 3]"],
    "counts": ["study.objects=[1, 2]", "study.scenes=4"],
    "holdout": ["study.scenes=6"],
    "seeds": ["study.seeds=[0, 1]"],
    "recipe": [
        "study.images=4",
        "study.only=['β = 4', 'batch doubled', 'refinement without patches']",
        "train.batch_size=2",
    ],
    "multistability": ["study.noises=3", "study.scenes=4"],
}
ROWS = {"inputs": 5, "steps": 3, "slots": 2, "counts": 4, "holdout": 5, "seeds": 2, "recipe": 4}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    (folder / "base.toml").write_text(BASE)
    return folder


@pytest.mark.parametrize("name", STUDIES.names())
def test_every_study_satisfies_the_contract(name: str) -> None:
    plugin = STUDIES.load(name)
    assert all(hasattr(plugin, offer) for offer in required_members(STUDIES.contract))
    assert set(plugin.BASE) <= {"train", "infer", "model", "eval"}, "tables that every pipeline has"


@pytest.mark.parametrize("pipeline", ["quickstart", "tetrominoes"])
@pytest.mark.parametrize("name", STUDIES.names())
def test_every_study_makes_valid_configurations_of_the_pipelines(name: str, pipeline: str) -> None:
    file = Path(__file__).parents[2] / "pipelines" / f"{pipeline}.toml"
    tables = merge(pipelines.load(str(file)), STUDIES.load(name).BASE)
    pipelines.check(tables)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES.names())
def test_every_study_writes_its_files_and_reuses_its_artifacts(name: str, place: Path) -> None:
    assert name in SMALL, "add small settings for a new study"
    store = Store(place / "store")
    settings = [*TINY_SETTINGS, *SMALL[name]]
    artifact = study(name, store, Silent(), pipeline=str(place / "base.toml"), settings=settings)
    files = set(artifact.manifest.files)
    assert {"index.html", "study.md", "study.json", "table.csv", "figure.svg", "figure.png"} <= files
    assert ("scenes.png" in files) == (name == "multistability")
    content = json.loads((artifact.path / "study.json").read_text())
    rows = list(csv.DictReader((artifact.path / "table.csv").open()))
    assert len(rows) == len(content["tables"][0]["rows"]) == ROWS.get(name, len(rows)) > 0
    assert content["seen"] == artifact.facts["seen"] and all(content["seen"])
    assert all((store.root / directory / "manifest.json").exists() for directory in content["inputs"].values())
    assert store.verify(artifact) == []
    made = {path: path.stat().st_mtime_ns for path in store.root.glob("*/*/summary.json")}
    again = study(name, store, Silent(), pipeline=str(place / "base.toml"), settings=settings)
    assert again.path == artifact.path
    assert {path: path.stat().st_mtime_ns for path in store.root.glob("*/*/summary.json")} == made, "nothing is rebuilt"


@pytest.mark.slow
def test_a_study_uses_the_newest_run_if_no_pipeline_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    store = Store(place / "newest")
    base = str(place / "base.toml")
    tables = pipelines.override(pipelines.load(base), parse_overrides(TINY_SETTINGS, pipelines.TABLES))
    context = Context(store)
    run_stage(train, tables, {"dataset": run_stage(prepare, tables, {}, context)}, context)
    first = study("steps", store, Silent(), pipeline=base, settings=[*TINY_SETTINGS, "study.steps=[1]"])
    study("seeds", store, Silent(), pipeline=base, settings=[*TINY_SETTINGS, "study.seeds=[1, 2]"])
    less = ["study.steps=[1]", "infer.batch_size=4", "infer.threads=1"]
    assert study("steps", store, Silent(), settings=less).path == first.path, "the same inputs give the same artifact"
    rebuilt = study("steps", store, Silent(), settings=less, overwrite=True)
    assert rebuilt.manifest.identity.inputs["run"] == first.manifest.identity.inputs["run"]
    command = json.loads((rebuilt.path / "study.json").read_text())["command"]
    assert f"--run {rebuilt.manifest.identity.inputs['run'].directory}" in command
    with pytest.raises(ConfigError, match="study steps has no base"):
        study("steps", Store(place / "empty"), Silent())
    with pytest.raises(ConfigError, match="study seeds trains its own runs: omit --run"):
        study("seeds", store, Silent(), run="run/any")
    with pytest.raises(ConfigError, match="--run and --pipeline exclude each other"):
        study("steps", store, Silent(), run="run/any", pipeline=base)
    with pytest.raises(ConfigError, match="'imag' is not an input of this model; did you mean 'image'"):
        study("inputs", store, Silent(), pipeline=base, settings=[*TINY_SETTINGS, "study.leave_out=['imag']"])


@pytest.mark.slow
def test_commands_do_not_use_the_artifacts_of_a_study_called_from_python(place: Path) -> None:
    store = Store(place / "purpose")
    base = str(place / "base.toml")
    tables = pipelines.override(pipelines.load(base), parse_overrides(TINY_SETTINGS, pipelines.TABLES))
    context = Context(store)
    dataset = run_stage(prepare, tables, {}, context)
    run = run_stage(train, tables, {"dataset": dataset}, context)
    predictions = run_stage(infer, tables, {"run": run, "dataset": dataset}, context)
    result = study("steps", store, Silent(), pipeline=base, settings=[*TINY_SETTINGS, "study.steps=[3]"])
    newest = store.artifacts("predictions")[-1]
    assert newest.path != predictions.path and newest.purpose == "study steps"
    assert newest.reference in result.manifest.identity.inputs.values()
    assert input_artifact(store, None, "predictions", "infer", reporter=Silent()).path == predictions.path


@pytest.mark.slow
def test_the_command_line_lists_studies_and_copies_their_files(iodine_kit: Command, tmp_path: Path) -> None:
    listed = iodine_kit("study", "--help").stdout
    for name in STUDIES.names():
        assert name in listed and " ".join(STUDIES.load(name).SUMMARY.split()[:3]) in listed
    (tmp_path / "base.toml").write_text(BASE)
    done = iodine_kit(
        "study", "slots", "--pipeline", "base.toml", *TINY, "--set", "study.slots=[2, 3]", "--output", "out", "--json"
    )
    facts = json.loads(done.stdout)
    assert Path(facts["page"]).name == "index.html" and facts["artifacts"] == 6
    assert "s of work in total" in done.stderr and "FG-ARI is highest with K" in done.stderr
    copied = {path.name for path in (tmp_path / "out").iterdir()}
    assert copied == {"study.md", "study.json", "table.csv", "figure.svg", "figure.png"}
    assert iodine_kit("study", "slot", status=4).stderr.strip().endswith("did you mean 'slots'?")
