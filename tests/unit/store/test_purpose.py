"""An artifact's purpose: results of a study are never the most recent ones, unless a command makes them again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from iodine_kit.runner import Context, Job, obtain
from iodine_kit.store import Identity, Store
from iodine_kit.store.manifest import read_manifest, write_manifest


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


def test_a_manifest_that_many_threads_write_is_never_seen_in_part(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = obtain(job(2), Context(store, purpose="study seeds"))
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write_manifest, made.path, made.manifest) for _ in range(400)]
        while not all(writer.done() for writer in writers):
            assert read_manifest(made.path) == made.manifest
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]
