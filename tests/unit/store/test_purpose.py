"""An artifact's purpose: results of a study are never the most recent ones, unless a command makes them again."""

from __future__ import annotations

from pathlib import Path

from iodine_kit.runner import Context, Job, obtain
from iodine_kit.store import Identity, Store


def job(seed: int) -> Job:
    return Job(Identity(kind="run", name="r", stage="train", version=1, config={"seed": seed}), lambda out: {})


def test_an_artifact_loses_its_purpose_when_it_is_made_for_its_own_sake(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = obtain(job(0), Context(store, purpose="study seeds"))
    assert made.purpose == "study seeds"
    assert obtain(job(0), Context(store, purpose="study steps")).purpose == "study seeds"
    content = made.manifest.content
    again = obtain(job(0), Context(store))
    assert again.purpose == "" and store.open(str(made.path), "run").purpose == ""
    assert again.manifest.content == content and not store.verify(again)
    assert [path.name for path in tmp_path.glob("run/.*")] == []


def test_an_artifact_without_a_purpose_gets_none_from_a_study(tmp_path: Path) -> None:
    store = Store(tmp_path)
    obtain(job(1), Context(store))
    assert obtain(job(1), Context(store, purpose="study seeds")).purpose == ""
