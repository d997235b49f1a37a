"""Which of an artifact and its interrupted rebuild is used, and what a plan says of it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from unit.training.toy_model import Notes

from iodine_kit.errors import ArtifactCorruptError, ResumeError
from iodine_kit.runner import Context, Job, find_interrupted, obtain, other_code
from iodine_kit.store import Identity, Reference, Store


class StoppedError(Exception):
    """Raised in the middle of the work."""


@pytest.fixture(autouse=True)
def inputs(tmp_path: Path) -> None:
    """The data sets that the jobs name, as far as a store looks for them."""
    for digit in "01":
        manifest = tmp_path / "dataset" / f"d-{digit * 12}" / "manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.touch()


def job(content: str = "a", stop: bool = False) -> Job:
    """A job that counts up in ``state-1``; it stops before its end if asked to."""
    dataset = Reference(kind="dataset", name="d", key="0" * 64, content=content)
    identity = Identity(kind="run", name="r", stage="train", version=1, inputs={"dataset": dataset})

    def make(out: Path) -> dict[str, Any]:
        state = out / "state-1"
        count = int(state.read_text()) + 1 if state.exists() else 1
        state.write_text(str(count))
        if stop:
            raise StoppedError
        return {"count": count}

    return Job(identity, make, state="state-*")


def interrupt(job: Job, context: Context) -> None:
    with pytest.raises(StoppedError):
        obtain(job, context)


def test_an_interrupted_run_resumes_and_overwriting_starts_it_again(tmp_path: Path) -> None:
    context = Context(Store(tmp_path))
    interrupt(job(stop=True), context)
    assert find_interrupted(job(), context) == job().identity
    assert find_interrupted(job(), replace(context, overwrite=True)) is None
    assert obtain(job(), context).facts == {"count": 2}
    assert find_interrupted(job(), context) is None
    assert obtain(job(), replace(context, overwrite=True)).facts == {"count": 1}


def test_an_interrupted_rebuild_of_a_finished_artifact_resumes(tmp_path: Path) -> None:
    context = Context(Store(tmp_path))
    obtain(job(), context)
    interrupt(job(stop=True), replace(context, overwrite=True))
    assert find_interrupted(job(), context) == job().identity
    assert obtain(job(), context).facts == {"count": 2}


def test_a_damaged_artifact_is_never_called_up_to_date(tmp_path: Path) -> None:
    notes = Notes()
    context = Context(Store(tmp_path), notes)
    (obtain(job(), context).path / "notes.txt").touch()
    with pytest.raises(ArtifactCorruptError, match="move it out of the folder"):
        obtain(job(), context)
    assert not any("up to date" in text for text in notes.texts)


def test_a_run_on_data_that_was_rebuilt_is_not_resumed(tmp_path: Path) -> None:
    context = Context(Store(tmp_path))
    interrupt(job("old", stop=True), context)
    with pytest.raises(ResumeError, match="was started on data that has been rebuilt since: add --overwrite"):
        obtain(job("new"), context)
    with pytest.raises(ResumeError, match=r"has been rebuilt since: add --force train to start it again$"):
        obtain(job("new"), replace(context, again="--force train"))  # in a pipeline, of which the rest is kept
    assert obtain(job("new"), replace(context, overwrite=True)).facts == {"count": 1}


def test_a_run_of_little_work_starts_again_on_data_that_was_rebuilt(tmp_path: Path) -> None:
    notes = Notes()
    context = Context(Store(tmp_path), notes)
    interrupt(replace(job("old", stop=True), cheap=True), context)
    new = replace(job("new"), cheap=True)
    assert find_interrupted(new, context) is None
    assert obtain(new, context).facts == {"count": 1}
    name = new.identity.planned.directory
    assert notes.texts == [f"note: the interrupted {name} starts again, because dataset/d-000000000000 was rebuilt"]


def test_an_up_to_date_artifact_is_reused_beside_an_interrupted_run_on_older_data(tmp_path: Path) -> None:
    context = Context(Store(tmp_path))
    obtain(job("new"), context)
    interrupt(job("old", stop=True), replace(context, overwrite=True))
    assert find_interrupted(job("new"), context) is None
    assert obtain(job("new"), context).facts == {"count": 1}


@pytest.mark.parametrize(
    ("content", "config", "note"),
    [
        ("a", {"steps": 2}, "is not resumed (steps: 1 -> 2); this run starts beside it"),
        ("b", {"steps": 1}, "is not resumed (it works on dataset/d-000000000000); this run starts beside it"),
        ("a", {"steps": 2, "k": 1, "l": 1, "m": 1}, ""),
        ("b", {"steps": 2}, ""),
    ],
)
def test_a_similar_interrupted_run_is_named(tmp_path: Path, content: str, config: dict[str, int], note: str) -> None:
    notes = Notes()
    context = Context(Store(tmp_path), notes)
    first = job(content="a", stop=True)
    first = replace(first, identity=first.identity.model_copy(update={"config": {"steps": 1}}))
    interrupt(first, context)
    second = job(content=content)
    if content == "b":
        other = second.identity.inputs["dataset"].model_copy(update={"key": "1" * 64})
        second = replace(second, identity=second.identity.model_copy(update={"inputs": {"dataset": other}}))
    obtain(replace(second, identity=second.identity.model_copy(update={"config": config})), context)
    name = first.identity.planned.directory
    assert notes.texts == ([f"note: the interrupted {name} {note}"] if note else [])


def test_an_artifact_that_another_process_finishes_before_the_work_begins_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(Store(tmp_path))
    find, looks = Store.find, iter([True])

    def find_nothing_at_first(store: Store, identity: Identity, again: str = "") -> Any:
        if next(looks, False):
            monkeypatch.setattr(Store, "find", find)
            other = obtain(job(), context)
            (other.path / "state-of-a-reader").touch()
            return None
        return find(store, identity)

    monkeypatch.setattr(Store, "find", find_nothing_at_first)
    with pytest.raises(ArtifactCorruptError, match="state-of-a-reader is not listed"):  # it is the other one's
        obtain(job(), context)


def test_a_draft_that_another_process_left_before_the_work_begins_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(Store(tmp_path))

    def find(store: Store, identity: Identity, again: str) -> None:
        monkeypatch.undo()
        interrupt(job(stop=True), context)

    monkeypatch.setattr(Store, "find", find)
    assert obtain(job(), context).facts == {"count": 2}


def test_an_artifact_that_two_versions_of_the_code_made_is_made_by_other_code_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    context = Context(Store(tmp_path), notes)
    code = tmp_path / "plug_in" / "work.py"
    code.parent.mkdir()
    package = ModuleType("plug_in")
    package.__path__ = [str(code.parent)]
    monkeypatch.setitem(sys.modules, "plug_in", package)
    for number, text in enumerate(("x = 1", "x = 2", "x = 1")):
        code.write_text(text)
        os.utime(code, (number, number))
        stopping = replace(job(stop=True), module="plug_in.work")
        interrupt(stopping, context)
        noted = [note for note in notes.texts if "other code began it: plug_in.work changed since" in note]
        assert len(noted) == number
    made = obtain(replace(stopping, make=job().make), context)
    assert made.facts == {"count": 4}
    assert [one.name for one in made.path.iterdir()] == ["manifest.json"]
    assert other_code(stopping, made, "--overwrite") == (
        "made by other code: plug_in.work changed since; --overwrite makes it again"
    )
    again = obtain(replace(stopping, make=job().make), replace(context, overwrite=True))
    assert other_code(stopping, again, "--overwrite") == ""
