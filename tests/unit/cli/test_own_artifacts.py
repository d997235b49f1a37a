"""With --pipeline, a command works on what the pipeline itself makes, whatever else was used more recently."""

from __future__ import annotations

import shutil
import tarfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from support import put, scene
from typer.testing import CliRunner

from iodine_kit.cli.app import app
from iodine_kit.cli.options import input_artifact
from iodine_kit.cli.own_artifacts import own_draft
from iodine_kit.config import merge
from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.pipeline import load, own_artifacts
from iodine_kit.progress import Silent
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import prepare
from iodine_kit.store import Artifact, Store

DATA = Path(__file__).parents[2] / "data"
PIPELINE = DATA / "recorded.toml"


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str, *, routine: bool = False) -> None:
        self.texts.append(text)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The store that earlier commits made."""
    with tarfile.open(DATA / "recorded_store.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return Store(tmp_path / "data")


def variant(store: Store, artifact: Artifact, changed: dict[str, Any]) -> Artifact:
    """The same files as of another configuration, used more recently."""
    identity = artifact.manifest.identity
    identity = identity.model_copy(update={"config": merge(deepcopy(identity.config), changed)})
    with store.draft(identity) as draft:
        for name in artifact.manifest.files:
            (draft.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.path / name, draft.path / name)
        return draft.commit(artifact.facts, artifact.manifest.made)


def edited(folder: Path, old: str, new: str) -> str:
    text = PIPELINE.read_text("utf-8")
    assert old in text
    (folder / "edited.toml").write_text(text.replace(old, new), "utf-8")
    return str(folder / "edited.toml")


def chosen(store: Store, kind: str, pipeline: str) -> tuple[Artifact, list[str]]:
    notes = Notes()
    return input_artifact(store, None, kind, "", reporter=notes, pipeline=pipeline), notes.texts


CHANGES = {
    "dataset": {"dataset": {"cell": 3}}, "run": {"train": {"steps": 20}}, "predictions": {"infer": {"slots": 5}},
    "evaluation": {"eval": {"seed": 7}},
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_the_artifact_of_the_pipeline_is_chosen(store: Store, kind: str) -> None:
    own = store.newest(kind, "")
    other = variant(store, own, CHANGES[kind])
    assert store.newest(kind, "").path == other.path != own.path
    artifact, notes = chosen(store, kind, str(PIPELINE))
    assert artifact.path == own.path and notes == [f"using {kind} {own.path}"]


COMMANDS = {
    "train": "dataset", "infer": "run", "eval": "predictions", "probe": "predictions", "traverse": "predictions",
    "report": "evaluation",
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_chooses_it(store: Store, command: str) -> None:
    variant(store, store.newest(COMMANDS[command], ""), CHANGES[COMMANDS[command]])
    kinds = {"train": "run", "infer": "predictions", "eval": "evaluation", "traverse": "traversal"}
    own = store.newest(kinds.get(command, command), "")
    for kind in {"probe", "traversal"} if command == "report" else ():
        variant(store, store.newest(kind, ""), {kind: {"seed": 9}})
    done = CliRunner().invoke(app, [command, "--pipeline", str(PIPELINE), "--store", str(store.root)])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, str(own.path)), done.output
    assert "up to date" in done.stderr


def test_a_note_names_the_first_setting_that_differs(store: Store, tmp_path: Path) -> None:
    pipeline = edited(tmp_path, "\nsteps = 2\nbatch_size = 4", "\nsteps = 7\nbatch_size = 4")
    found, notes = chosen(store, "run", pipeline)
    assert found.path == store.newest("run", "").path
    assert notes[1:] == [f"note: this is not the run that {pipeline} makes (train.steps: 2 instead of 7)"]
    found, notes = chosen(store, "predictions", pipeline)
    assert notes[1:] == [f"note: these are not the predictions that {pipeline} makes (train.steps: 2 instead of 7)"]
    pipeline = edited(tmp_path, "cell = 2", "cell = 4")
    _, notes = chosen(store, "dataset", pipeline)
    assert notes[1:] == [f"note: this is not the data set that {pipeline} makes (dataset.cell: 2 instead of 4)"]
    assert chosen(store, "evaluation", pipeline)[1][1].endswith("makes (dataset.cell: 2 instead of 4)")
    pipeline = edited(tmp_path, '[infer]\nsplit = "test"', '[infer]\nsplit = "val"')
    assert len(chosen(store, "run", pipeline)[1]) == 1  # a later stage does not matter
    shutil.rmtree(store.newest("dataset", "").path)
    assert len(chosen(store, "evaluation", pipeline)[1]) == 1  # without the inputs, nobody knows


def test_of_a_matrix_the_first_member_is_chosen(store: Store, tmp_path: Path) -> None:
    own = store.newest("run", "")
    second = variant(store, own, {"train": {"seed": 2}})
    pipeline = edited(tmp_path, "\n[probe]\n", "\n[matrix]\nseeds = [3, 2, 0]\n\n[probe]\n")
    assert chosen(store, "run", pipeline)[0].path == own.path  # what train --pipeline makes
    shutil.rmtree(own.path)
    assert chosen(store, "run", pipeline) == (second, [f"using run {second.path} (member seed=2)"])


def test_a_file_without_data_set_makes_nothing_by_itself(store: Store, tmp_path: Path) -> None:
    (tmp_path / "part.toml").write_text("[infer]\nslots = 4\n")
    artifact, notes = chosen(store, "run", str(tmp_path / "part.toml"))
    assert notes == [f"using run {artifact.path}"]


def test_an_unfinished_run_is_that_of_the_pipeline(store: Store, tmp_path: Path) -> None:
    identity = store.newest("run", "").manifest.identity
    assert own_draft(store, str(PIPELINE)) is None
    for seed in (0, 1):
        changed = identity.model_copy(update={"config": merge(deepcopy(identity.config), {"train": {"seed": seed}})})
        with pytest.raises(KeyboardInterrupt), store.draft(changed, keep="*"):
            raise KeyboardInterrupt
    assert own_draft(store, str(PIPELINE)) == identity.key


@pytest.mark.parametrize("quickly_read", [own_artifacts.QUICKLY_READ, -1])
def test_a_published_data_set_is_chosen_with_and_without_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quickly_read: int
) -> None:
    for number in range(4):
        put(tmp_path / "pictures" / f"{number}.png", scene(number, 16, 2)[0])
    text = f'[prepare]\ndataset = "folder"\nsource = {str(tmp_path / "pictures")!r}\n[preprocess]\ncrop = "none"\n'
    (tmp_path / "own.toml").write_text(text, "utf-8")
    context, tables = Context(Store(tmp_path / "data")), load(str(tmp_path / "own.toml"))
    own = run_stage(prepare, tables, {}, context)
    run_stage(prepare, merge(deepcopy(tables), {"preprocess": {"size": 8}}), {}, context)
    shutil.copytree(tmp_path / "pictures", tmp_path / "others")
    put(tmp_path / "others" / "4.png", scene(4, 16, 2)[0])
    run_stage(prepare, merge(deepcopy(tables), {"prepare": {"source": str(tmp_path / "others")}}), {}, context)
    monkeypatch.setattr(own_artifacts, "QUICKLY_READ", quickly_read)
    assert chosen(context.store, "dataset", str(tmp_path / "own.toml"))[0].path == own.path
    (own.path / "manifest.json").write_text("{")
    if quickly_read > 0:
        with pytest.raises(ArtifactCorruptError, match=r"manifest\.json: not a manifest"):
            chosen(context.store, "dataset", str(tmp_path / "own.toml"))


def test_a_published_data_set_whose_source_is_gone_is_chosen_by_its_settings(tmp_path: Path) -> None:
    put(tmp_path / "pictures" / "0.png", scene(0, 16, 2)[0])
    text = f'[prepare]\ndataset = "folder"\nsource = {str(tmp_path / "pictures")!r}\n[preprocess]\ncrop = "none"\n'
    (tmp_path / "own.toml").write_text(text, "utf-8")
    context, tables = Context(Store(tmp_path / "data")), load(str(tmp_path / "own.toml"))
    own = run_stage(prepare, tables, {}, context)
    run_stage(prepare, merge(deepcopy(tables), {"preprocess": {"size": 8}}), {}, context)
    shutil.rmtree(tmp_path / "pictures")
    assert chosen(context.store, "dataset", str(tmp_path / "own.toml"))[0].path == own.path
