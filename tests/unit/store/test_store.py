from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, ResumeError, StorageError
from iodine_kit.store import Artifact, Identity, Reference, SourceFile, Store
from iodine_kit.store.lineage import branches, drawn
from iodine_kit.store.manifest import MANIFEST, canonical_json


def identity(name: str = "toy", kind: str = "dataset", **changes: object) -> Identity:
    return Identity.model_validate({"kind": kind, "name": name, "stage": "prepare", "version": 1, **changes})


def make(store: Store, what: Identity, text: str = "hello") -> Artifact:
    with store.draft(what) as draft:
        (draft.path / "deep").mkdir()
        (draft.path / "deep" / "a.txt").write_text(text)
        return draft.commit({"count": 1}, {"finished": "2026-01-01T00:00:00+00:00"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_artifact_is_named_by_its_key_and_lists_the_hash_of_every_file(store: Store) -> None:
    artifact = make(store, identity())
    assert artifact.path == store.root / "dataset" / f"toy-{identity().key[:12]}"
    manifest = json.loads((artifact.path / MANIFEST).read_text())
    assert manifest["schema"] == "iodine-kit/artifact/1"
    assert manifest["files"] == {"deep/a.txt": {"sha256": hashlib.sha256(b"hello").hexdigest(), "bytes": 5}}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"stage": "other"},
        {"config": {"a": 1}},
        {"plugins": {"format/hdf5": 1}},
        {"inputs": {"dataset": Reference(kind="dataset", name="x", key="ab")}},
        {"sources": (SourceFile(name="f", sha256="00", bytes=1),)},
    ],
)
def test_the_key_changes_with_everything_that_shapes_the_result(change: dict[str, object]) -> None:
    assert identity(**change).key != identity().key


def test_the_key_does_not_depend_on_names_locations_or_the_order_of_tables() -> None:
    here, there = (SourceFile(name=n, sha256="00", bytes=1, location=n) for n in ("here", "there"))
    assert identity(sources=(here,)).key == identity("other", sources=(there,)).key
    assert identity(config={"a": 1, "b": 2}).key == identity(config={"b": 2, "a": 1}).key


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | finite))
def test_canonical_json_is_valid_json_and_equal_for_equal_values(value: dict[str, object]) -> None:
    shuffled = dict(sorted(value.items(), reverse=True))
    assert canonical_json(value) == canonical_json(shuffled)
    assert json.loads(canonical_json(value)) == value


def test_an_artifact_is_found_only_if_its_inputs_had_the_same_content(store: Store) -> None:
    parent = make(store, identity())
    child = identity("child", "run", inputs={"dataset": parent.reference})
    made = make(store, child)
    assert store.find(child) == made
    again = parent.reference.model_copy(update={"content": "f" * 64})
    assert store.find(identity("child", "run", inputs={"dataset": again})) is None


def test_a_failed_draft_is_deleted(store: Store) -> None:
    with pytest.raises(RuntimeError), store.draft(identity()) as draft:
        (draft.path / "half.txt").write_text("half")
        raise RuntimeError
    assert [p for p in store.root.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_kept_draft_can_resume_and_is_listed_as_interrupted(store: Store) -> None:
    with pytest.raises(RuntimeError), store.draft(identity(), keep="state") as draft:
        (draft.path / "state").write_text("step 3")
        raise RuntimeError
    assert [i for _, i in store.interrupted("dataset")] == [identity()]
    with store.draft(identity(), keep="state", fresh=False) as draft:
        assert (draft.path / "state").read_text() == "step 3"
        (draft.path / "result").touch()
        (draft.path / "half.tmp").touch()
        artifact = draft.commit({}, {})
    assert store.interrupted() == []
    # The state for resuming and incomplete files are not part of the artifact.
    assert list(artifact.manifest.files) == ["result"] and not (artifact.path / "state").exists()


def test_a_draft_is_kept_if_its_commit_is_interrupted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("iodine_kit.store.artifact.build_manifest", interrupt)
    with pytest.raises(KeyboardInterrupt), store.draft(identity(), keep="state") as draft:
        (draft.path / "state").touch()
        draft.commit({}, {})
    assert [i for _, i in store.interrupted()] == [identity()]


def test_an_interrupted_replacement_is_undone_or_finished(store: Store) -> None:
    artifact = make(store, identity(), "old")
    replaced = artifact.path.with_name(f".{artifact.path.name}.replaced")
    artifact.path.rename(replaced)
    with pytest.raises(RuntimeError), store.draft(identity()):
        raise RuntimeError
    assert (artifact.path / "deep" / "a.txt").read_text() == "old" and not replaced.exists()
    (replaced / "leftover").mkdir(parents=True)
    make(store, identity(), "new")
    assert (artifact.path / "deep" / "a.txt").read_text() == "new" and not replaced.exists()


@pytest.mark.parametrize("look", ["artifacts", "find", "open"])
def test_readers_see_an_artifact_whose_replacement_was_interrupted(look: str, store: Store) -> None:
    artifact = make(store, identity(), "old")
    artifact.path.rename(artifact.path.with_name(f".{artifact.path.name}.replaced"))
    looks = {
        "artifacts": lambda: store.artifacts("dataset")[0],
        "find": lambda: store.find(identity()),
        "open": lambda: store.open(artifact.path.name),
    }
    assert looks[look]() == artifact and (artifact.path / "deep" / "a.txt").read_text() == "old"


def test_a_manifest_that_was_being_written_is_no_part_of_the_artifact(store: Store) -> None:
    left = ".manifest.json-0123456789abcdef"
    with store.draft(identity()) as draft:
        (draft.path / left).write_text("{")
        artifact = draft.commit({}, {})
    assert [path.name for path in artifact.path.iterdir()] == [MANIFEST]
    assert {path.name for path in artifact.path.parent.iterdir()} == {artifact.path.name}
    (artifact.path / left).write_text("{")
    assert store.verify(artifact) == []


def test_an_artifact_that_another_process_is_making_is_not_listed_as_interrupted(store: Store) -> None:
    with store.draft(identity(), keep="*"):
        assert Store(store.root).interrupted() == []


def test_an_input_that_was_rebuilt_or_altered_is_refused(store: Store) -> None:
    parent = make(store, identity())
    make(store, identity(), "other bytes")
    with pytest.raises(ArtifactCorruptError, match="rebuilt with different content; rebuild the artifacts"):
        store.resolve(parent.reference)
    current = store.artifacts("dataset")[-1]
    (current.path / "deep" / "a.txt").write_text("other bytez")
    with pytest.raises(ArtifactCorruptError, match="was altered"):
        store.resolve(current.reference)


def test_a_damaged_manifest_does_not_affect_other_artifacts(store: Store) -> None:
    good, bad = make(store, identity()), make(store, identity("bad", version=2))
    (bad.path / MANIFEST).write_text("{")
    assert store.artifacts() == [good] and store.damaged() == [bad.path]
    (good.path / MANIFEST).write_text("{")
    with pytest.raises(ArtifactNotFoundError, match="2 cannot be read"):
        store.newest("dataset", "prepare")


def test_verify_detects_edited_facts(store: Store) -> None:
    artifact = make(store, identity())
    path = artifact.path / MANIFEST
    path.write_text(path.read_text().replace('"count": 1', '"count": 2'))
    assert store.verify(store.open(str(artifact.path))) == ["the facts in the manifest were altered"]


def test_a_downloaded_source_and_a_local_one_with_the_same_bytes_give_the_same_key() -> None:
    source = SourceFile(name="f", sha256="00", bytes=1)
    fetched = Reference(kind="download", name="f", key="ab")
    assert identity(sources=(source,)).key == identity(sources=(source,), inputs={"download": fetched}).key


def test_a_draft_without_a_file_to_keep_is_deleted(store: Store) -> None:
    with pytest.raises(RuntimeError), store.draft(identity(), keep="state") as draft:
        (draft.path / "log").touch()
        raise RuntimeError
    assert store.interrupted() == []


def test_a_rebuilt_artifact_replaces_the_old_one(store: Store) -> None:
    make(store, identity(), "old")
    new = make(store, identity(), "new")
    assert (new.path / "deep" / "a.txt").read_text() == "new"
    assert len(store.artifacts("dataset")) == 1


def test_two_processes_cannot_make_the_same_artifact_at_once(store: Store) -> None:
    other = Store(store.root)
    with store.draft(identity()), pytest.raises(ResumeError, match="another process"), other.draft(identity()):
        pass


def test_an_error_of_the_operating_system_becomes_a_storage_error(store: Store) -> None:
    with pytest.raises(StorageError, match="No space left on device"), store.draft(identity()):
        raise OSError(28, "No space left on device", "train.h5")


def test_newest_is_the_most_recently_made_or_used_artifact(store: Store) -> None:
    first, second = make(store, identity("first")), make(store, identity("second", version=2))
    os.utime(first.path / MANIFEST, (1, 1))
    assert store.newest("dataset", "prepare").path == second.path
    assert store.newest("dataset", "prepare", lambda artifact: artifact == first).path == first.path
    assert store.newest("dataset", "prepare", lambda artifact: False).path == second.path
    store.touch(first)
    os.utime(second.path / MANIFEST, (1, 1))
    assert store.newest("dataset", "prepare").path == first.path


def test_the_error_of_an_empty_store_names_the_command_to_run(store: Store) -> None:
    with pytest.raises(ArtifactNotFoundError, match="holds no run yet: make one with 'iodine-kit train'"):
        store.newest("run", "iodine-kit train")


def test_an_artifact_is_opened_by_path_directory_name_or_first_digits_of_its_key(store: Store) -> None:
    artifact = make(store, identity())
    for place in (str(artifact.path), artifact.reference.directory, artifact.path.name, artifact.manifest.key[:6]):
        assert store.open(place).path == artifact.path
    with pytest.raises(ArtifactNotFoundError, match="has kind 'dataset', but 'run' is required"):
        store.open(artifact.path.name, "run")
    assert store.open(artifact.manifest.key).path == artifact.path
    with pytest.raises(ArtifactNotFoundError, match="no such artifact"):
        store.open("nothing")
    with pytest.raises(ArtifactNotFoundError, match=r"outside the store .* --store"):
        Store(store.root.with_name("other")).open(str(artifact.path))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda p: (p / "deep/a.txt").write_text("jello"), "was altered"),
        (lambda p: (p / "deep/a.txt").write_text("hello!"), "has 6 bytes, not 5"),
        (lambda p: (p / "deep/a.txt").unlink(), "is missing"),
        (lambda p: (p / "extra").touch(), "is not listed"),
    ],
)
def test_verify_names_the_altered_file(store: Store, damage: object, problem: str) -> None:
    artifact = make(store, identity())
    assert store.verify(artifact) == []
    damage(artifact.path)  # type: ignore[operator]
    assert len(store.verify(artifact)) == 1 and problem in store.verify(artifact)[0]


def test_verify_detects_a_rebuilt_or_missing_input(store: Store) -> None:
    parent = make(store, identity())
    child = make(store, identity("child", "run", inputs={"dataset": parent.reference}))
    make(store, identity(), "other bytes")
    assert "was rebuilt with different content" in store.verify(child)[0]
    (store.root / parent.reference.directory / MANIFEST).unlink()
    assert "is not in" in store.verify(child)[0]


@pytest.mark.parametrize("damage", ["", "{", '{"schema": "iodine-kit/artifact/1"}', "[]", '"NaN"', "NaN"])
def test_a_damaged_manifest_is_refused(store: Store, damage: str) -> None:
    artifact = make(store, identity())
    (artifact.path / MANIFEST).write_text(damage)
    with pytest.raises(ArtifactCorruptError, match=r"manifest\.json: not a manifest"):
        store.open(str(artifact.path))


def test_an_edited_identity_does_not_match_its_key(store: Store) -> None:
    artifact = make(store, identity())
    path = artifact.path / MANIFEST
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ArtifactCorruptError, match="the key does not match"):
        store.open(str(artifact.path))


def test_logs_are_listed_but_not_part_of_the_content_hash(store: Store) -> None:
    def with_log(text: str) -> Artifact:
        with store.draft(identity()) as draft:
            (draft.path / "logs").mkdir()
            (draft.path / "logs" / "speed").write_text(text)
            (draft.path / "weights").write_text("w")
            return draft.commit({}, {})

    slow, fast = with_log("slow"), with_log("fast")
    assert slow.manifest.content == fast.manifest.content and slow.manifest.files != fast.manifest.files


def test_lineage_lists_inputs_and_source_files(store: Store) -> None:
    source = SourceFile(name="raw.tfrecords", sha256="5" * 64, bytes=3)
    parent = make(store, identity(sources=(source,)))
    child = make(store, identity("child", "run", inputs={"dataset": parent.reference}))
    assert list(drawn(branches(store, child))) == [
        f"└── {parent.reference.directory}",
        f"    └── raw.tfrecords  3 bytes  sha256 {'5' * 64}",
    ]


def test_an_interrupted_artifact_is_not_called_missing(store: Store) -> None:
    what = identity(kind="run")
    with pytest.raises(RuntimeError), store.draft(what, keep="*.state") as draft:
        (draft.path / "1.state").write_text("half")
        with pytest.raises(ArtifactNotFoundError, match="not finished: another process is making it"):
            store.open(draft.path.name)
        raise RuntimeError
    for place in (str(draft.path), f"{draft.path}/", f"run/{draft.path.name}", f"toy-{what.key[:12]}", what.key[:8]):
        with pytest.raises(ArtifactNotFoundError, match="interrupted: repeat the same command to resume, or delete"):
            store.open(place)
    make(store, what)
    assert store.open(what.key[:8]).path == store.root / "run" / f"toy-{what.key[:12]}"


def test_what_systems_leave_in_an_artifact_is_no_damage(store: Store) -> None:
    with store.draft(identity()) as draft:
        for name in ("data.txt", ".DS_Store"):
            (draft.path / name).write_text(name)
        artifact = draft.commit({}, {})
    assert set(artifact.manifest.files) == {"data.txt"}
    for name in (".DS_Store", "._data.txt", "Thumbs.db", "data.txt~"):
        (artifact.path / name).write_text("left")
    assert store.verify(artifact) == []
    (artifact.path / "more.txt").write_text("more")
    assert store.verify(artifact) == ["more.txt is not listed in the manifest"]


def test_files_to_resume_from_are_no_part_of_an_artifact_even_in_a_folder(store: Store) -> None:
    make(store, identity(), "old")
    with store.draft(identity(), keep="state-*", fresh=False) as draft:
        (draft.path / "state-1").mkdir()  # a worker that was given up wrote into it, and deleting it failed
        (draft.path / "state-1" / "late.txt").write_text("late")
        (draft.path / "state-2").write_text("2")
        (draft.path / "a.txt").write_text("new")
        made = draft.commit({}, {})
    assert list(made.manifest.files) == ["a.txt"]
    assert store.verify(made) == []
    assert sorted(path.name for path in store.root.glob("dataset/*")) == [made.path.name]
    assert sorted(path.name for path in made.path.iterdir()) == ["a.txt", MANIFEST]
