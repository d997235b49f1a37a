"""What artifacts were made from: closures, users, files; and versions of the manifest."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import pytest

from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, SchemaError
from iodine_kit.store import Artifact, Identity, Reference, Store
from iodine_kit.store.lineage import branches, closure, drawn, inputs_of, stored_files, users
from iodine_kit.store.manifest import MANIFEST, file_sha256
from iodine_kit.store.schema import MIGRATIONS


def make(store: Store, name: str, kind: str = "run", text: str = "x", **inputs: Artifact) -> Artifact:
    references = {role: one.reference for role, one in inputs.items()}
    what = Identity(kind=kind, name=name, stage="s", version=1, config={"name": name}, inputs=references)
    with store.draft(what) as draft:
        (draft.path / "a.txt").write_text(text)
        return draft.commit({}, {"finished": "2026-01-01T00:00:00+00:00"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_the_closure_lists_inputs_first_and_each_artifact_once(store: Store) -> None:
    raw = make(store, "raw", "download")
    data = make(store, "data", "dataset", download=raw)
    run = make(store, "run", dataset=data)
    report = make(store, "page", "report", run=run, dataset=data)
    assert [one.path for one in closure(store, [report])] == [data.path, run.path, report.path]
    assert closure(store, [report], downloads=True)[0].path == raw.path
    assert closure(store, [run, report, data]) == closure(store, [report])
    assert {name: len(found) for name, found in users(store.artifacts()).items()} == {
        raw.reference.directory: 1,
        data.reference.directory: 2,
        run.reference.directory: 1,
    }


def test_a_missing_or_rebuilt_input_has_a_status_and_ends_a_closure(store: Store) -> None:
    data = make(store, "data", "dataset")
    run = make(store, "run", dataset=data)
    make(store, "data", "dataset", text="other")
    with pytest.raises(ArtifactCorruptError, match=r"its dataset .* was rebuilt with different content"):
        closure(store, [run])
    assert [one.status for one in inputs_of(store, run)] == ["rebuilt"]
    (data.path / MANIFEST).write_text("{")
    assert [one.status for one in inputs_of(store, run)] == ["unreadable"]
    (data.path / MANIFEST).unlink()
    assert [one.status for one in inputs_of(store, run)] == ["missing"]
    assert list(drawn(branches(store, run))) == [f"└── {data.reference.directory}  (not in this store)"]
    with pytest.raises(ArtifactNotFoundError, match=r"its dataset .* is not in"):
        closure(store, [run])


def test_the_lineage_shows_what_is_shared_once(store: Store) -> None:
    data = make(store, "data", "dataset")
    run = make(store, "run", dataset=data)
    again = make(store, "again", start=run, dataset=data)
    page = make(store, "page", "report", run=again, first=run)
    data_line, run_line, again_line = (one.reference.directory for one in (data, run, again))
    assert list(drawn(branches(store, page))) == [
        f"├── {again_line}",
        f"│   ├── start: {run_line}",
        f"│   │   └── {data_line}",
        f"│   └── {data_line}",
        f"└── first: {run_line}  (as above)",
    ]


def test_the_files_of_an_artifact_begin_with_its_manifest(store: Store) -> None:
    run = make(store, "run")
    for file in stored_files(run):
        assert (file.path.stat().st_size, file_sha256(file.path)) == (file.bytes, file.sha256)
    assert [file.name for file in stored_files(run)] == [MANIFEST, "a.txt"]


def test_a_lost_download_is_no_problem_of_its_data_set(store: Store) -> None:
    raw = make(store, "raw", "download")
    data = make(store, "data", "dataset", download=raw)
    (raw.path / MANIFEST).unlink()
    assert store.verify(data) == [] and closure(store, [data]) == [data]


def test_work_on_an_input_that_was_removed_meanwhile_does_not_begin(store: Store) -> None:
    data = make(store, "data", "dataset")
    planned = Identity(kind="run", name="r", stage="s", version=1, inputs={"dataset": data.reference})
    (data.path / MANIFEST).unlink()
    with pytest.raises(ArtifactNotFoundError, match="this dataset was removed meanwhile"), store.draft(planned):
        pass
    assert list(store.root.glob("run/.*")) == []


def test_a_manifest_of_a_newer_version_is_refused_but_not_called_damaged(store: Store) -> None:
    run = make(store, "run")
    path = run.path / MANIFEST
    newer = {**json.loads(path.read_text()), "schema": "iodine-kit/artifact/2", "made": {"iodine_kit": "9.1.0"}}
    path.write_text(json.dumps(newer))
    with pytest.raises(SchemaError, match=r"version 2 of its schema; .*: install iodine-kit 9\.1\.0 or later"):
        store.open(str(run.path))
    assert store.artifacts() == [] and store.damaged() == [run.path]
    path.write_text(json.dumps({**newer, "made": {"iodine_kit": "; rm -rf ~"}}))
    with pytest.raises(SchemaError, match="install a later version of iodine-kit"):
        store.open(str(run.path))


def test_an_older_manifest_is_migrated_when_it_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(store, "run")
    path = run.path / MANIFEST
    current = json.loads(path.read_text())
    older = {"manifest_schema": 0, **current}
    older["results"] = older.pop("facts")
    monkeypatch.setattr("iodine_kit.store.schema.PREFIX", "toy/")
    monkeypatch.setattr("iodine_kit.store.schema.VERSION", 3)

    def from_one(data: dict[str, object]) -> dict[str, object]:
        return {**{k: v for k, v in data.items() if k != "results"}, "facts": data["results"]}

    def from_two(data: dict[str, object]) -> dict[str, object]:
        assert data["schema"] == "toy/2" and "facts" in data
        return {name: value for name, value in data.items() if name != "manifest_schema"}

    monkeypatch.setitem(MIGRATIONS, 1, from_one)
    monkeypatch.setitem(MIGRATIONS, 2, from_two)
    from iodine_kit.store.schema import migrated

    assert migrated({**older, "schema": "toy/1"}, path) == {**current, "schema": "toy/3"}


@pytest.mark.parametrize("field", ["kind", "name", "key"])
def test_a_reference_is_never_a_path(field: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        Reference.model_validate({"kind": "run", "name": "a", "key": "ab" * 32, field: "../../x"})


def test_a_long_lineage_is_verified_and_drawn(store: Store) -> None:
    made = None
    for number in range(60):
        inputs = {"run": made.reference} if made else {}
        what = Identity(kind="run", name=f"r{number}", stage="train", version=1, inputs=inputs)
        with store.draft(what) as draft:
            (draft.path / "a").write_text(str(number))
            made = draft.commit({}, {})
    assert made is not None
    (next(store.root.glob("run/r0-*")) / "a").unlink()
    depth = len(inspect.stack(0))
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 50)
    try:
        (problem,) = store.verify(made)
        lines = list(drawn(branches(store, made)))
    finally:
        sys.setrecursionlimit(before)
    assert len(lines) == 59 and lines[-1].startswith(58 * "    " + "└── run/r0-")
    assert problem.endswith("a is missing") and problem.count("its run run/") == 59
