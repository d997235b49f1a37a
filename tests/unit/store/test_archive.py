"""Archives of artifacts: the same bytes for the same artifacts, and no tampered one changes a store."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iodine_kit.errors import ArtifactCorruptError, CorruptDataError, IodineKitError, ResumeError, SchemaError
from iodine_kit.progress import Silent
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.store.archive import INDEX, pack, unpack
from iodine_kit.store.arrivals import arriving, is_safe_path
from iodine_kit.store.lineage import closure, stored_files
from iodine_kit.store.manifest import MANIFEST
from iodine_kit.store.remedies import ARRIVED

LONG = "deep/" + "x" * 120 + ".txt"


def make(store: Store, name: str, kind: str, files: dict[str, bytes], **inputs: Artifact) -> Artifact:
    references = {role: one.reference for role, one in inputs.items()}
    with store.draft(Identity(kind=kind, name=name, stage="s", version=1, inputs=references)) as draft:
        for path, data in files.items():
            (draft.path / path).parent.mkdir(parents=True, exist_ok=True)
            (draft.path / path).write_bytes(data)
        return draft.commit({"count": 1}, {})


def packed(artifacts: list[Artifact]) -> bytes:
    stream = io.BytesIO()
    pack(artifacts, stream, Silent())
    return stream.getvalue()


def unpacked(data: bytes, store: Store) -> list[Artifact]:
    return unpack(io.BytesIO(data), store, Silent(), "a.tar").artifacts


def files_in(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*")
            if path.is_file() and path.parent.name != ".locks" and path.name != ARRIVED}  # fmt: skip


class Packed:
    """A store of a data set and a run, and its archive."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        data = make(self.store, "d", "dataset", {"a.h5": b"abc" * 300, LONG: b"long", "ü.txt": b"", "logs/x": b"1"})
        self.run = make(self.store, "r", "run", {"w": bytes(range(256)) * 4}, dataset=data)
        self.artifacts = closure(self.store, [self.run])
        self.data = packed(self.artifacts)
        self.members: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(self.data)) as archive:
            for member in archive:
                file = archive.extractfile(member)
                assert file is not None
                self.members[member.name] = file.read()
        self.files = {name: data for name, data in self.members.items() if name != INDEX}

    def tar(self, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]) -> bytes:
        """The archive with other members, and the hashes of their manifests, written by Python's tarfile."""
        members = []
        for name, data in self.members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            members.append((info, data))
        change(members)
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {info.name}\n" for info, data in members
                       if info.name.endswith(MANIFEST))  # fmt: skip
        if members and members[0][0].name == INDEX:
            members[0] = (members[0][0], sums.encode())
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for info, data in members:
                archive.addfile(info, io.BytesIO(data))
        return stream.getvalue()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return Packed(tmp_path_factory.mktemp("original"))


def test_an_archive_has_the_files_of_the_store_and_gives_the_same_store(original: Packed, tmp_path: Path) -> None:
    assert packed(original.artifacts) == original.data
    assert next(iter(original.members)) == INDEX and original.files == files_in(original.store.root)
    assert [name for name in original.members if name.endswith(MANIFEST)] == [
        f"{one.reference.directory}/{MANIFEST}" for one in original.artifacts
    ]
    store = Store(tmp_path / "other")
    assert [one.reference for one in unpacked(original.data, store)] == [one.reference for one in original.artifacts]
    assert files_in(store.root) == original.files
    assert all(store.verify(one) == [] for one in store.artifacts())
    assert store.newest("run", "").reference == original.run.reference
    again = unpack(io.BytesIO(original.data), store, Silent(), "a.tar")
    assert again.there == {one.reference.directory for one in original.artifacts}
    assert unpacked(original.tar(lambda members: None), Store(tmp_path / "third"))  # any tar with the same members


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x")])
def test_an_archive_restores_what_is_damaged_in_the_store_by_the_remedy_that_it_names(
    original: Packed, damage: Callable[[Path], object], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    path = unpacked(original.data, store)[-1].path
    damage(path / "w")
    for provoke in (lambda: unpacked(original.data, store), lambda: store.usable(store.open(str(path)))):
        with pytest.raises(ArtifactCorruptError, match=rf": w .*; delete {path}, and unpack it again$"):
            provoke()
    shutil.rmtree(path)
    assert unpacked(original.data, store) and files_in(tmp_path) == original.files


@settings(max_examples=120)
@given(st.data())
def test_no_damaged_archive_changes_a_store(original: Packed, data: st.DataObject) -> None:
    archive = bytearray(original.data)
    kind = data.draw(st.sampled_from(["flip", "cut", "copy", "drop"]))
    start = data.draw(st.integers(0, len(archive) - 1))
    if kind == "flip":
        archive[start] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del archive[start:]
    else:
        first, last = sorted((start // 512 * 512, data.draw(st.integers(0, len(archive) // 512)) * 512))
        archive[first:last] = archive[first:last] * 2 if kind == "copy" else b""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "s")
        try:
            unpacked(bytes(archive), store)
        except IodineKitError as error:
            assert str(error).startswith("a.tar") and "\n" not in str(error)
            assert files_in(store.root) == {}
        else:
            found = files_in(store.root)
            assert found in (original.files, {})


def edited(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[list[Any]], None]:
    def edit(members: list[Any]) -> None:
        for number, (info, data) in enumerate(members):
            if info.name.startswith(name) and info.name.endswith(MANIFEST):
                manifest = json.loads(data)
                change(manifest)
                info.size = len(text := json.dumps(manifest).encode())
                members[number] = (info, text)

    return edit


def added(name: str, kind: bytes = tarfile.REGTYPE, at: int | None = None) -> Callable[[list[Any]], None]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return lambda members: members.insert(len(members) if at is None else at, (info, b""))


RUN = "run/r-"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (added("../evil"), "no file of an artifact"),
        (added("/etc/evil/x"), "no file of an artifact"),
        (added("run/../../x/evil"), "no file of an artifact"),
        (added("run/r/.hidden"), "no file of an artifact"),
        (added("run\\r/a/b"), "no file of an artifact"),
        (added("C:/r/a"), "no file of an artifact"),
        (added("notes.txt"), "no file of an artifact"),
        (added("run/x/link", tarfile.SYMTYPE), "is a symbolic link"),
        (added("run/x/link", tarfile.LNKTYPE), "is a hard link"),
        (added("run/x/null", tarfile.CHRTYPE), "is a device"),
        (added("run/x", tarfile.DIRTYPE), "is a folder"),
        (added("run/x/a", tarfile.FIFOTYPE), "is a pipe"),
        (added("run/x/a", b"Z"), "of another kind than a file"),
        (added("run/x/a", at=1), "before the manifest"),
        (added("run/x/a", at=0), "does not begin with the file manifests.sha256"),
        (lambda members: members.append(members[-1]), "is there twice"),
        (lambda members: members.append(members[1]), "is in no manifest"),
        (lambda members: members.append(members[0]), "no file of an artifact"),
        (lambda members: members.pop(), "is missing"),
        (lambda members: members.clear(), "contains no artifact"),
        (edited(RUN, lambda one: one["files"].update({"../x": {"sha256": "0", "bytes": 1}})), "names a file that no"),
        (edited(RUN, lambda one: one["files"].update({"w/x": {"sha256": "0", "bytes": 1}})), "names a file that no"),
        (edited(RUN, lambda one: one["files"]["w"].update(bytes=-1)), "negative"),
        (edited(RUN, lambda one: one["files"]["w"].update(bytes=1 << 60)), r"free|1152921504606846976"),
        (edited(RUN, lambda one: one["files"]["w"].update(sha256="0" * 64)), "does not match its hash"),
        (edited(RUN, lambda one: one["facts"].update(count=2)), "facts do not match"),
        (edited(RUN, lambda one: one["identity"].update(kind="../../x")), "not a manifest"),
        (edited(RUN, lambda one: one["identity"].update(version=2)), "the key does not match"),
        (edited(RUN, lambda one: one["identity"].update(name="other")), "belongs to run/other"),
        (edited(RUN, lambda one: one["identity"].update(config={"a": float("nan")})), "not a manifest"),
    ],
)
def test_a_tampered_archive_is_refused_in_one_sentence(
    original: Packed, tmp_path: Path, change: Any, message: str
) -> None:
    store = Store(tmp_path / "s")
    with pytest.raises(IodineKitError, match=message) as refused:
        unpacked(original.tar(change), store)
    assert "\n" not in str(refused.value)
    assert files_in(tmp_path) == {}


def test_an_archive_of_another_kind_or_of_a_newer_version_is_refused(original: Packed, tmp_path: Path) -> None:
    for data in (b"", b"PK\3\4" + bytes(600), b"\x1f\x8b" + bytes(600), b"x" * 511):
        with pytest.raises(CorruptDataError, match=r"a\.tar: no tar archive.*give an archive that"):
            unpacked(data, Store(tmp_path))
    flipped = original.data.replace(b'"made": {}', b'"made":{ }')  # what no hash of the manifest covers
    with pytest.raises(CorruptDataError, match=r"its sha256 differs from the one in manifests\.sha256"):
        unpacked(flipped, Store(tmp_path))
    assert len(original.artifacts) == 2 and len(flipped) == len(original.data)
    newer = original.tar(edited(RUN, lambda one: one.update(schema="iodine-kit/artifact/99")))
    with pytest.raises(SchemaError, match="version 99 of its schema"):
        unpacked(newer, Store(tmp_path / "s"))


def test_other_content_is_refused_and_a_damaged_artifact_is_not_packed(original: Packed, tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, "d", "dataset", {"a.h5": b"other"})
    before = files_in(tmp_path)
    with pytest.raises(ResumeError, match=r"different content; use another store .* iodine-kit gc dataset/d-"):
        unpacked(original.data, store)
    assert files_in(tmp_path) == before
    damaged = make(store, "x", "run", {"a": b"1234"})
    (damaged.path / "a").write_bytes(b"1235")
    with pytest.raises(ArtifactCorruptError, match="sha256 differs"):
        packed([damaged])
    (damaged.path / "a").write_bytes(b"1234")
    manifest = damaged.path / MANIFEST
    manifest.write_text(manifest.read_text().replace('"count": 1', '"count": 2'))
    with pytest.raises(ArtifactCorruptError, match="the facts in the manifest were altered"):
        packed(closure(store, [make(store, "y", "predictions", {}, run=store.open(str(damaged.path)))]))


def test_an_interrupted_transfer_of_the_same_name_resumes(original: Packed, tmp_path: Path) -> None:
    store, manifest = Store(tmp_path), original.run.manifest
    files = {file.name: file.path for file in stored_files(original.run)}
    data = files.pop(MANIFEST).read_bytes()
    with pytest.raises(KeyboardInterrupt), arriving(store, "t", keep=True) as arrivals:
        assert arrivals.missing(arrivals.announce(data, "there")) == ["w"]
        arrivals.receive(manifest, "w", [files["w"].read_bytes()], "there")
        raise KeyboardInterrupt
    assert store.artifacts() == []
    with arriving(store, "t", keep=True) as arrivals:
        with pytest.raises(ResumeError, match="another process is receiving"), arriving(store, "t"):
            pass
        assert arrivals.missing(arrivals.announce(data, "there")) == []
        arrivals.commit()
    assert store.artifacts()[0].manifest == manifest and not list(store.root.glob(".arrivals/*"))


@given(st.text(max_size=12))
def test_a_safe_path_stays_below_its_folder(name: str) -> None:
    if is_safe_path(name):
        path = Path("/a/b") / name
        assert path.is_relative_to("/a/b") and ".." not in path.parts and path != Path("/a/b")
        name.encode()
