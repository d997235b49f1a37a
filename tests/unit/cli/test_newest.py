"""The artifact that a command uses if none is named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from iodine_kit.cli.app import app
from iodine_kit.cli.options import input_artifact
from iodine_kit.progress import Silent
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.store.provenance import provenance


def make(store: Store, name: str, command: list[str], facts: dict[str, Any]) -> Artifact:
    identity = Identity(kind="evaluation", name=name, stage="eval", version=1, config={"name": name})
    with store.draft(identity) as draft:
        (draft.path / "file").write_text(name)
        return draft.commit(facts, {**provenance(datetime.now(UTC)), "command": command})


def test_what_studies_made_is_taken_by_nobody_who_does_not_name_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine = make(store, "mine", ["iodine-kit", "eval"], {})
    study = make(store, "study", ["iodine-kit", "study", "steps"], {})
    assert input_artifact(store, None, "evaluation", "eval", reporter=Silent()).path == mine.path
    assert input_artifact(store, str(study.path), "evaluation", "eval", reporter=Silent()).path == study.path


def test_the_most_recent_suitable_artifact_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fitting = make(store, "fitting", ["iodine-kit", "infer"], {"latents": True})
    newest = make(store, "newest", ["iodine-kit", "import-predictions"], {"latents": False})
    chosen = input_artifact(
        store, None, "evaluation", "eval", reporter=Silent(), suits=lambda one: bool(one.facts["latents"])
    )
    assert chosen.path == fitting.path
    chosen = input_artifact(store, None, "evaluation", "eval", reporter=Silent(), suits=lambda one: False)
    assert chosen.path == newest.path  # it will be refused, with a reason


def test_an_empty_list_says_so_and_creates_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["list", "--store", str(tmp_path / "nowhere")], env={"COLUMNS": "300"})
    assert (done.exit_code, done.stdout) == (0, "") and "no artifacts in" in done.stderr
    assert not (tmp_path / "nowhere").exists()
