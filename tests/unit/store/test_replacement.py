"""A reader sees the old or the new artifact while another process replaces it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from iodine_kit.errors import ArtifactCorruptError, StorageError
from iodine_kit.runner import Context, Job, obtain
from iodine_kit.store import Artifact, Identity, Store, artifact
from iodine_kit.store import artifact as module
from iodine_kit.store.manifest import MANIFEST, find_problems

RUN = Identity(kind="run", name="r", stage="train", version=1)


def make(store: Store, text: str, purpose: str = "") -> Artifact:
    with store.draft(RUN) as draft:
        (draft.path / "a").write_text(text)
        return draft.commit({}, {"purpose": purpose})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_reader_that_finds_nothing_between_two_renames_looks_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(store, "old")
    hidden = made.path.with_name("elsewhere")

    def read(path: Path, remedy: str) -> Any:
        monkeypatch.undo()
        made.path.rename(hidden)
        try:
            return artifact.read_manifest(path)
        finally:
            hidden.rename(made.path)

    for look in (lambda: store.find(RUN), lambda: store.open("run/" + made.path.name), lambda: store.artifacts()[0]):
        monkeypatch.setattr(artifact, "read_manifest", read)
        assert look() == made


def test_an_artifact_that_is_replaced_with_the_same_content_while_it_is_checked_is_sound(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, check = make(store, "same"), module.find_problems
    outcomes: list[Any] = [lambda: (made.path / "no such file").stat(), lambda: ["a is missing"]]
    for outcome in outcomes:
        calls = iter([outcome])
        monkeypatch.setattr(
            module, "find_problems", lambda *one, calls=calls, **other: next(calls, lambda: check(*one, **other))()
        )
        assert store.usable(made) == made
    monkeypatch.undo()
    (made.path / "a").unlink()
    with pytest.raises(ArtifactCorruptError, match="a is missing"):
        store.usable(made)


def test_using_an_artifact_of_a_study_that_was_rebuilt_meanwhile_leaves_its_manifest(store: Store) -> None:
    found = make(store, "old", "study seeds")
    shutil.rmtree(found.path)
    made = make(store, "newer", "study seeds")
    store.touch(found)
    (now,) = store.artifacts()
    assert now.manifest.content == made.manifest.content
    assert now.purpose == ""
    assert store.verify(now) == []
    assert MANIFEST in {one.name for one in now.path.iterdir()}


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("how", [PermissionError, KeyboardInterrupt, SystemExit])
def test_a_commit_that_is_interrupted_before_the_last_rename_loses_no_work(
    how: type[BaseException], replaces: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = list[int]()

    def make(out: Path) -> dict[str, int]:
        state = out / "checkpoint"
        done = int(state.read_text()) if state.exists() else 0
        for step in range(done, 3):
            steps.append(step)
            state.write_text(str(step + 1))
        (out / "weights").write_text("trained")
        return {}

    store = Store(tmp_path)
    job = Job(Identity(kind="run", name="one", stage="train", version=1), make, state="checkpoint")
    if replaces:
        obtain(job, Context(store))
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise how
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        if how is SystemExit:  # as if the process was killed: nothing is tidied up
            patched.setattr("iodine_kit.store.store.shutil.rmtree", lambda *arguments, **options: None)
        with pytest.raises((how, StorageError)):
            obtain(job, Context(store, overwrite=replaces))
    steps.clear()
    artifact = obtain(job, Context(store))
    assert steps == [] and not find_problems(artifact.path, artifact.manifest)
    assert [path.name for path in artifact.path.parent.iterdir()] == [artifact.path.name]
