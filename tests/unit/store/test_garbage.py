"""Removing from a store: nothing that is needed is ever removed, and all that nothing needs can be."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iodine_kit.errors import ArtifactNotFoundError, ResumeError, StorageError
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.store.arrivals import arriving
from iodine_kit.store.contents import Contents, contents, directory, last_use
from iodine_kit.store.garbage import DAY, PRECIOUS, Removal, Rules, removable, still_removable
from iodine_kit.store.manifest import MANIFEST
from iodine_kit.store.removal import named, remove
from iodine_kit.store.tags import add_tag

OLD, KINDS = 40 * DAY, ("dataset", "run", "predictions", "evaluation", "report")


def identity(name: str, kind: str, inputs: Iterable[Artifact]) -> Identity:
    references = {f"{one.reference.kind}{number}": one.reference for number, one in enumerate(inputs)}
    return Identity(kind=kind, name=name, stage="s", version=1, config={"name": name}, inputs=references)


def make(store: Store, name: str, kind: str = "evaluation", *inputs: Artifact) -> Artifact:
    with store.draft(identity(name, kind, inputs)) as draft:
        (draft.path / "a").write_text(name)
        return draft.commit({}, {})


def age(path: Path, seconds: float = OLD) -> None:
    for one in (*path.rglob("*"), path):
        os.utime(one, (time.time() - seconds,) * 2)


def interrupted(store: Store, name: str, kind: str = "dataset", *inputs: Artifact) -> Path:
    with pytest.raises(KeyboardInterrupt), store.draft(identity(name, kind, inputs), keep="*.state") as draft:
        (draft.path / "a.state").write_text("half")
        raise KeyboardInterrupt
    return draft.path


def collect(store: Store, rules: Rules | None = None) -> set[Path]:
    rules, there = rules or Rules(), contents(store)
    return {one.path for one in gone(store, removable(store, rules, there), there, rules)}


def gone(store: Store, chosen: Sequence[Removal], before: Contents, rules: Rules | None = None) -> list[Removal]:
    return remove(store, chosen, before, lambda now: still_removable(store, rules or Rules(), chosen, now))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


rarely = st.sampled_from([False] * 4 + [True])
node = st.tuples(st.sampled_from(KINDS), st.sets(st.integers(1, 3), max_size=3), rarely, rarely)
"""Kind; inputs, as distances to earlier artifacts; whether it was used a short time ago; whether it has a tag."""


@settings(max_examples=40)
@given(st.lists(node, min_size=3, max_size=7), st.booleans(), st.one_of(st.none(), st.integers(0, 6)))
def test_nothing_needed_is_removed_and_everything_else_is(
    nodes: Sequence[tuple[str, set[int], bool, bool]], all_kinds: bool, resuming: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        made: list[Artifact] = []
        inputs = [{number - one for one in node[1] if one <= number} for number, node in enumerate(nodes)]
        for number, (kind, *_) in enumerate(nodes):
            made.append(make(store, f"n{number}", kind, *(made[one] for one in sorted(inputs[number]))))
        kept = set()
        for number, (kind, _, is_young, has_tag) in enumerate(nodes):
            if not is_young:
                age(made[number].path)
            if has_tag:
                add_tag(store, f"t{number}", made[number])
            if has_tag or is_young or (kind in PRECIOUS and not all_kinds):
                kept.add(number)
        if resuming is not None and resuming < len(made):
            interrupted(store, "draft", "statistics", made[resuming])
            kept.add(resuming)
        while more := {one for number in kept for one in inputs[number]} - kept:
            kept |= more
        removed = collect(store, Rules(all_kinds=all_kinds))
        assert removed == {one.path for number, one in enumerate(made) if number not in kept}
        remaining = store.artifacts()
        assert {one.path for one in remaining} == {made[number].path for number in kept}
        assert all(store.verify(one) == [] for one in remaining)
        assert not list(store.root.glob("*/.*.removed"))


def test_an_interrupted_removal_leaves_no_half_artifact_and_is_finished_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(store, "d", "dataset")
    user = make(store, "e", "evaluation", data)
    for one in (data, user):
        age(one.path)
    chosen = removable(store, Rules())
    assert [one.path for one in chosen] == [user.path, data.path]  # whoever stops in between leaves no orphan

    rename = Path.rename

    def interrupted_rename(self: Path, target: Path) -> Path:
        rename(self, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", interrupted_rename)
        gone(store, chosen, contents(store))
    assert store.artifacts() == [data] and len(list(user.path.parent.iterdir())) == 1
    assert collect(store) and store.artifacts() == []
    assert [path for path in store.root.rglob("*") if path.is_file() and path.parent.name != ".locks"] == []


def test_stale_drafts_and_leftovers_go_and_runs_stay(store: Store) -> None:
    stale, fresh = interrupted(store, "stale"), interrupted(store, "fresh")
    run = interrupted(store, "r", "run")
    artifact = make(store, "a")
    (store.root / "dataset" / f".{MANIFEST}-0123").touch()
    (artifact.path / f".{MANIFEST}-0123").touch()
    (store.root / ".tags").mkdir()
    (store.root / ".tags" / ".x.json-0.tmp").touch()
    (store.root / ".arrivals" / "unpack-1").mkdir(parents=True)
    resuming = store.root / ".arrivals" / "pull-1"
    resuming.mkdir()
    age(resuming, 2 * DAY)
    (store.root / ".locks" / "run__gone-000000000000.lock").touch()
    leftovers = [*store.root.glob(f"*/.{MANIFEST}-*"), artifact.path / f".{MANIFEST}-0123",
                 *store.root.glob(".tags/.x*"), store.root / ".arrivals" / "unpack-1"]  # fmt: skip
    assert collect(store) == set()
    for path in (stale, run, *leftovers, *store.root.glob(".locks/*")):
        age(path)
    removed = collect(store)
    assert removed == {stale, *leftovers, store.root / ".locks" / "run__gone-000000000000.lock"}
    assert fresh.is_dir() and run.is_dir() and resuming.is_dir() and store.artifacts() == [artifact]
    assert collect(store, Rules(kinds=frozenset({"run"}))) == {run}


def test_what_a_process_makes_or_reads_stays(store: Store) -> None:
    data, old = make(store, "d", "dataset"), make(store, "o")
    for one in (data, old):
        age(one.path)
    making = identity("new", "statistics", [data])
    with store.draft(making) as draft, store.draft(old.manifest.identity):
        age(draft.path)
        assert collect(store, Rules(older_than=0, all_kinds=True)) == set()
        with pytest.raises(ResumeError, match=r"statistics/.* was made from it; name it too"):
            named(store, [data.reference.directory])
        with pytest.raises(ResumeError, match="a process is working on it"):
            named(store, [old.reference.directory])
        with pytest.raises(ResumeError, match="a process is working on it"):
            named(store, [str(draft.path)])
    assert collect(store) == {data.path, old.path}


def test_what_is_finished_while_manifests_are_read_keeps_its_inputs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(store, "d", "dataset")
    age(data.path)
    survey = Store.survey
    with store.draft(identity("new", "statistics", [data])) as draft, monkeypatch.context() as patch:

        def slow_survey(self: Store, **load: Any) -> Any:
            found = survey(self, **load)
            draft.commit({}, {})
            return found

        patch.setattr(Store, "survey", slow_survey)
        assert removable(store, Rules()) == []
    half = store.place(identity("half", "statistics", [data]).planned)
    finished = make(store, "half", "statistics", data)
    finished.path.rename(half.with_name(f".{half.name}.partial"))  # just before the rename at the end
    shutil.rmtree(draft.final)
    assert removable(store, Rules()) == []


def test_reading_an_input_is_a_use(store: Store) -> None:
    data = make(store, "d", "dataset")
    age(data.path)
    store.resolve(data.reference)
    assert last_use(data.path) > time.time() - 60 and collect(store) == set()
    assert time.time() - (data.path / MANIFEST).stat().st_mtime > OLD - 60  # the default of commands stays the same


def test_what_comes_into_use_after_it_was_shown_stays(store: Store) -> None:
    data = make(store, "d", "dataset")
    age(data.path)
    half, transfer = interrupted(store, "half"), store.root / ".arrivals" / "pull-1"
    transfer.mkdir(parents=True)
    for path in (half, transfer):
        age(path)
    before = contents(store)
    chosen = removable(store, Rules(), before)
    assert {one.path for one in chosen} == {data.path, half, transfer}
    store.touch(data)
    with pytest.raises(KeyboardInterrupt), store.draft(identity("half", "dataset", []), keep="*.state", fresh=False):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), arriving(store, "pull-1", keep=True):
        raise KeyboardInterrupt
    assert gone(store, chosen, before) == [] and all(one.path.is_dir() for one in chosen)


def test_what_is_used_by_a_new_artifact_or_a_tag_stays(store: Store) -> None:
    data, run, other = make(store, "d", "dataset"), make(store, "r", "evaluation"), make(store, "o")
    for one in (data, run, other):
        age(one.path)
    before = contents(store)
    chosen = removable(store, Rules(), before)
    make(store, "e", "evaluation", data)
    add_tag(store, "best", run)
    assert [one.path for one in gone(store, chosen, before)] == [other.path]


def test_inside_the_lock_nothing_is_read_that_has_not_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [make(store, f"n{number}") for number in range(3)]
    half = interrupted(store, "half")
    for path in (half, *(one.path for one in made)):
        age(path)
    before = contents(store)
    chosen = removable(store, Rules(), before)

    def refuse(*_: Any) -> None:
        raise AssertionError("everything that begins in this store waits")

    for name in ("garbage.size_of", "garbage.newest_change", "contents.newest_change", "contents.load_artifact"):
        monkeypatch.setattr(f"iodine_kit.store.{name}", refuse)
    assert {one.path for one in gone(store, chosen, before)} == {half, *(one.path for one in made)}


def test_a_damaged_manifest_keeps_what_it_names_or_everything(store: Store) -> None:
    data, other = make(store, "d", "dataset"), make(store, "o")
    user = make(store, "e", "evaluation", data)
    for one in (data, other, user):
        age(one.path)
    manifest = user.path / MANIFEST
    manifest.write_text(manifest.read_text("utf-8").replace('"version": 1', '"version": 2'), "utf-8")
    assert collect(store) == {other.path}
    manifest.write_text("{")
    assert collect(store) == set()
    assert [one.what for one in named(store, [user.path.name])] == ["damaged evaluation"]
    chosen = named(store, [str(user.path)])
    assert remove(store, chosen, contents(store), lambda now: chosen) and collect(store) == {data.path}


def test_a_damaged_artifact_that_others_need_is_to_be_rebuilt_or_removed_with_them(store: Store) -> None:
    data = make(store, "d", "dataset")
    user = make(store, "e", "evaluation", data)
    (data.path / MANIFEST).write_text("{")
    with pytest.raises(ResumeError, match=r"rebuild the artifact with --overwrite, .* or name it too"):
        named(store, [str(data.path)])
    chosen = named(store, [str(data.path), str(user.path)])
    assert len(remove(store, chosen, contents(store), lambda now: chosen)) == 2


def test_what_is_named_goes_unless_it_is_in_use(store: Store) -> None:
    data = make(store, "d", "dataset")
    run = make(store, "r", "run", data)
    first, second = make(store, "a", "evaluation", run), make(store, "b", "evaluation", run)
    half = interrupted(store, "half", "run")
    add_tag(store, "best", first)
    with pytest.raises(ResumeError, match=r"evaluation/.* and 1 more were made from it; name them too"):
        named(store, [run.manifest.key])
    with pytest.raises(ResumeError, match=r"the tag 'best' names it; .* --delete best"):
        named(store, ["tag:best"])
    with pytest.raises(ArtifactNotFoundError, match="nothing: no such artifact"):
        named(store, ["nothing"])
    assert [one.path for one in named(store, [second.path.name, half.name])] == [half, second.path]
    chosen = named(store, [second.reference.directory, str(half)])
    assert len(remove(store, chosen, contents(store), lambda now: chosen)) == 2
    assert {directory(one.path) for one in store.artifacts()} == {one.reference.directory for one in (data, run, first)}


def test_a_store_that_cannot_be_written_is_one_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make(store, "d", "dataset")
    age(data.path)
    chosen = removable(store, Rules())

    def refuse(self: Path, target: Any) -> Path:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError, match=r"Read-only file system\); this disk cannot be written"):
        gone(store, chosen, contents(store))
    assert store.artifacts() == [data]


def test_a_removal_shows_what_it_removes(store: Store) -> None:
    data = make(store, "d", "dataset")
    age(data.path)
    size = sum(path.stat().st_size for path in data.path.iterdir())
    assert removable(store, Rules()) == [Removal(data.path, "dataset", size, "not used for 40 days")]
    assert removable(store, Rules(older_than=41 * DAY)) == []
    assert removable(store, Rules(kinds=frozenset({"run"}))) == []
