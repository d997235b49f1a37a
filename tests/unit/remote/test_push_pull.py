"""push and pull with a folder, with memory, and over HTTP."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from iodine_kit.cli.app import app
from iodine_kit.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    ConfigError,
    CorruptDataError,
    IodineKitError,
    RemoteError,
    ResumeError,
    SchemaError,
    StorageError,
)
from iodine_kit.progress import Advance, Silent
from iodine_kit.remote import Remote, Transferred, contents, parse_address, pull, push, survey, tags
from iodine_kit.store import Artifact, Store
from iodine_kit.store.manifest import content_hash
from iodine_kit.store.tags import add_tag, find_tag


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "re[m]ote"  # fsspec must not take it for a pattern


@pytest.fixture
def remote(folder: Path) -> Remote:
    return Remote(parse_address(str(folder)))


def send(store: Store, artifact: Artifact, remote: Remote, **options: Any) -> Transferred:
    return push(store, [artifact], remote, Silent(), **options)


def fetch(store: Store, remote: Remote, place: str = "predictions/toy-", **options: Any) -> Transferred:
    if place.endswith("-"):
        (place,) = {entry.directory for entry in remote.entries() if entry.directory.startswith(place)}
    return pull(store, [place], remote, Silent(), **options)[1]


def objects(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.glob("objects/*/*")}


class Interrupted(Silent):
    """Interrupts after a number of bytes."""

    def __init__(self, after: int) -> None:
        self.left = after

    @contextmanager
    def track(self, label: str, total: int, done: int = 0) -> Iterator[Advance]:
        def advance(count: int, **fields: object) -> None:
            self.left -= count
            if self.left < 0:
                raise KeyboardInterrupt

        yield advance


def test_what_was_pushed_arrives_with_all_it_was_made_from(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path
) -> None:
    sent = send(here, predictions, remote)
    assert (sent.files, sent.files_there, len(sent.artifacts)) == (6, 0, 3)
    assert sent.bytes == sum(path.stat().st_size for path in objects(folder).values())
    again = send(here, predictions, remote)
    assert (again.files, again.bytes, again.files_there) == (0, 0, 6)
    assert fetch(there, remote).files == 7
    arrived = there.open(predictions.reference.directory)
    assert arrived.manifest == predictions.manifest and there.verify(arrived) == []
    assert fetch(there, remote).files == 0
    assert list((folder / "incoming").iterdir()) == []


def test_without_inputs_only_the_artifact_is_sent_or_fetched(
    here: Store, there: Store, predictions: Artifact, remote: Remote
) -> None:
    assert send(here, predictions, remote, inputs=False).artifacts == (predictions.reference.directory,)
    notes: list[str] = []
    reporter = Silent()
    reporter.note = lambda text, **_: notes.append(text)  # type: ignore[method-assign]
    pull(there, [predictions.manifest.key], remote, reporter)
    assert len(there.artifacts()) == 1 and len(notes) == 2 and "its run run/toy-" in notes[0]
    send(here, predictions, remote)
    other = Store(there.root.with_name("other"))
    assert fetch(other, remote, inputs=False).files == 2


def test_memory_is_a_remote(here: Store, there: Store, predictions: Artifact) -> None:
    remote = Remote(parse_address("memory://somewhere/deep"))
    assert send(here, predictions, remote).files == 6 and send(here, predictions, remote).files == 0
    assert fetch(there, remote).files == 7 and there.verify(there.open(predictions.reference.directory)) == []


def test_a_folder_is_served_over_http_for_reading(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path
) -> None:
    send(here, predictions, remote)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    web = Remote(parse_address(f"http://127.0.0.1:{server.server_port}"))
    assert fetch(there, web).files == 7
    with pytest.raises(RemoteError, match="can only be read"):
        send(here, predictions, web)
    with pytest.raises(RemoteError, match="there is no remote here"):
        Remote(parse_address(f"http://127.0.0.1:{server.server_port}/objects")).check()
    server.shutdown()
    server.server_close()
    with pytest.raises(RemoteError, match="cannot be reached"):
        web.check()


@pytest.mark.parametrize("after", [0, 3000, 500_000, 1_300_000])
def test_an_interrupted_push_leaves_no_half_object_and_resumes(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path, after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        push(here, [predictions], remote, Interrupted(after), jobs=1)
    assert remote.entries() == [] and list((folder / "incoming").iterdir()) == []
    complete = len(objects(folder))
    sent = send(here, predictions, remote)
    assert (sent.files, sent.files_there) == (6 - complete, complete)
    assert fetch(there, remote).files == 7 and there.verify(there.open(predictions.reference.directory)) == []


@pytest.mark.parametrize("after", [0, 3000, 500_000, 1_300_000])
def test_an_interrupted_pull_leaves_no_artifact_and_resumes(
    here: Store, there: Store, predictions: Artifact, remote: Remote, after: int
) -> None:
    send(here, predictions, remote)
    place = predictions.reference.directory
    with pytest.raises(KeyboardInterrupt):
        pull(there, [place], remote, Interrupted(after), jobs=1)
    assert there.artifacts() == [] and there.damaged() == []
    arrived = [path for path in (there.root / ".arrivals").rglob("*") if path.is_file()]
    fetched = fetch(there, remote, place)
    assert (fetched.files, fetched.files_there) == (7 - len(arrived), len(arrived))
    assert there.verify(there.open(place)) == []


def test_a_half_object_of_another_size_is_sent_again(
    here: Store, predictions: Artifact, remote: Remote, folder: Path
) -> None:
    send(here, predictions, remote)
    name, path = next((name, path) for name, path in objects(folder).items() if path.stat().st_size > 5)
    path.write_bytes(path.read_bytes()[:5])
    sent = send(here, predictions, remote)
    assert sent.files == 1 and objects(folder)[name].stat().st_size > 5


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, "its sha256 differs"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is incomplete"),
        (lambda path: path.write_bytes(path.read_bytes() * 2), "is longer"),
        (Path.unlink, "is missing"),
    ],
)
def test_a_damaged_object_is_refused_and_can_be_repaired_as_the_message_says(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path,
    damage: Callable[[Path], object], said: str,
) -> None:  # fmt: skip
    send(here, predictions, remote)
    path = objects(folder)[predictions.manifest.files["p.h5"].sha256]
    damage(path)
    remedy = "push --store DIR predictions/toy-.* --to .* --overwrite"
    with pytest.raises(CorruptDataError, match=f"objects/.*{said}.*{remedy}"):
        fetch(there, remote)
    assert there.artifacts() == []
    send(here, predictions, remote, overwrite=True)
    fetch(there, remote)
    assert there.verify(there.open(predictions.reference.directory)) == []


def test_a_list_names_a_damaged_manifest_and_the_remedy_repairs_it(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path
) -> None:
    send(here, predictions, remote)
    (path,) = folder.glob("manifests/predictions/*/*.json")
    path.write_text(path.read_text("utf-8").replace('"name": "toy"', '"name": "toys"', 1), "utf-8")
    found, damaged = survey(remote)
    remedy = r"push --store DIR predictions/toy-.* --to .* --overwrite$"
    assert [one.directory for one in damaged] == [predictions.reference.directory]
    with pytest.raises(CorruptDataError, match=remedy):
        fetch(there, remote)
    done = CliRunner().invoke(app, ["pull", "--from", str(folder)], env={"COLUMNS": "500"})
    assert done.exit_code == 0 and re.search(remedy, done.stderr.strip())
    assert "predictions/" not in done.stdout and len(done.stdout.splitlines()) == len(found)
    send(here, predictions, remote, overwrite=True)
    assert survey(remote)[1] == {} and fetch(there, remote)


def test_an_altered_file_is_not_sent(here: Store, predictions: Artifact, remote: Remote, folder: Path) -> None:
    flip(predictions.path / "p.h5")
    with pytest.raises(ArtifactCorruptError, match=r"p\.h5: was altered"):
        send(here, predictions, remote)
    assert predictions.manifest.files["p.h5"].sha256 not in objects(folder) and remote.entries() == []


def test_an_altered_manifest_of_an_input_is_not_sent(here: Store, predictions: Artifact, remote: Remote) -> None:
    (manifest,) = here.root.glob("run/*/manifest.json")
    altered = json.loads(manifest.read_text())
    altered["facts"]["count"] = -1
    manifest.write_text(json.dumps(altered))
    with pytest.raises(ArtifactCorruptError, match="the facts in the manifest were altered"):
        send(here, predictions, remote)


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:evil", "a\nb", ".hidden", "manifest.json"]
)
def test_a_manifest_that_names_a_file_elsewhere_is_refused(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path, name: str
) -> None:
    send(here, predictions, remote)
    (path,) = folder.glob("manifests/predictions/*/*.json")
    manifest = json.loads(path.read_bytes())
    manifest["files"][name] = manifest["files"].pop("p.h5")
    manifest["content"] = content_hash({name: one["sha256"] for name, one in manifest["files"].items()})
    path.unlink()
    path.with_name(f"{manifest['content']}.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptDataError, match="manifests/predictions/toy-"):
        fetch(there, remote)
    assert there.artifacts() == [] and not list(there.root.parent.rglob("*evil*"))


def test_a_manifest_in_the_place_of_another_is_refused(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path
) -> None:
    send(here, predictions, remote)
    run, wrong = next(folder.glob("manifests/run/*/*.json")), next(folder.glob("manifests/predictions/*/*.json"))
    shutil.copy(run, wrong)
    with pytest.raises(CorruptDataError, match="belongs to another artifact"):
        fetch(there, remote)
    wrong.write_text("[" * 100_000)
    with pytest.raises(CorruptDataError, match="manifests/predictions/toy-"):
        fetch(there, remote)
    assert [entry.directory.partition("/")[0] for entry, _ in contents(remote)] == ["dataset", "run"]


def test_another_schema_or_no_remote_is_one_sentence(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path
) -> None:
    with pytest.raises(RemoteError, match=r"there is no remote here.*iodine-kit push"):
        fetch(there, remote, "x")
    folder.mkdir()
    for text in ('{"schema": "iodine-kit/remote/2"}', "[1]", "not json", '"' * 9):
        (folder / "iodine-kit-remote.json").write_text(text)
        for command in (partial(fetch, there, remote, "x"), partial(send, here, predictions, remote)):
            with pytest.raises(SchemaError, match=r"has the schema .* reads 'iodine-kit/remote/1'"):
                command()
    assert list(folder.iterdir()) == [folder / "iodine-kit-remote.json"]


def test_a_name_that_is_not_there_is_answered_with_near_ones(
    here: Store, there: Store, predictions: Artifact, remote: Remote
) -> None:
    send(here, predictions, remote)
    directory = predictions.reference.directory
    with pytest.raises(ArtifactNotFoundError, match=f"did you mean '{directory}'"):
        fetch(there, remote, directory[:-1] + ("0" if directory[-1] != "0" else "1"))
    with pytest.raises(ArtifactNotFoundError, match="no such artifact"):
        fetch(there, remote, "../../etc")
    with pytest.raises(ArtifactNotFoundError, match="no such artifact"):
        fetch(there, remote, "")


def test_two_contents_of_one_key_are_told_apart_and_neither_replaces_the_other(
    here: Store, there: Store, remote: Remote, make: Callable[..., Artifact]
) -> None:
    first, second = make(here, "run", {"w": b"first"}), make(there, "run", {"w": b"second"})
    assert first.manifest.key == second.manifest.key
    send(here, first, remote)
    send(there, second, remote)
    place = first.reference.directory
    with pytest.raises(ArtifactNotFoundError, match=f"matches 2 artifacts.*{place}@{first.reference.content[:12]}"):
        fetch(here, remote, place)
    assert fetch(here, remote, f"{place}@{first.reference.content[:12]}").files == 0
    with pytest.raises(ResumeError, match="different content"):
        fetch(there, remote, f"{place}@{first.reference.content[:8]}")
    assert (there.open(place).path / "w").read_bytes() == b"second"


def test_two_contents_of_one_input_cannot_arrive_together(
    here: Store, there: Store, remote: Remote, make: Callable[..., Artifact], folder: Path
) -> None:
    """Two results whose data set was rebuilt between them: a store holds one of its contents."""
    for store, data, kind in ((here, b"first", "evaluation"), (there, b"other", "probe")):
        result = make(store, kind, {"m": kind.encode()}, dataset=make(store, "dataset", {"d": data}))
        send(store, result, remote)
    both = [entry.directory for entry in remote.entries() if not entry.directory.startswith("dataset/")]
    empty = Store(folder.with_name("empty"))
    with pytest.raises(ResumeError, match=r"dataset/toy-\w{12}: .* two contents .* another store"):
        pull(empty, both, remote, Silent())
    assert empty.artifacts() == []
    for place in both:
        store = Store(folder.with_name(place.partition("/")[0]))
        pull(store, [place], remote, Silent())
        assert store.verify(store.open(place)) == []


def test_an_artifact_that_is_rebuilt_during_a_push_reaches_the_remote_as_it_was(
    here: Store, there: Store, remote: Remote, make: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, sends = make(here, "run", {"w": b"first"}), Remote.send

    def send_and_rebuild(self: Remote, source: Path, sha256: str, advance: Advance) -> None:
        sends(self, source, sha256, advance)
        make(here, "run", {"w": b"other"})

    monkeypatch.setattr(Remote, "send", send_and_rebuild)
    send(here, run, remote)
    fetch(there, remote, run.reference.directory)
    assert (there.open(run.reference.directory).path / "w").read_bytes() == b"first"
    with pytest.raises(ArtifactCorruptError, match="was rebuilt with different content: push it again"):
        send(here, run, remote, overwrite=True)


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    here: Store, there: Store, predictions: Artifact, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(here, predictions, remote)
    usage = shutil.disk_usage(here.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StorageError, match="are needed but only"):
        fetch(there, remote)
    assert there.artifacts() == []


def test_pushes_and_pulls_at_the_same_time_do_not_disturb_each_other(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path
) -> None:
    """A pull sees an artifact with everything that it needs, or does not see it."""
    address, place, pushed = remote.address, predictions.reference.directory, Event()

    def keep_pulling(number: int) -> list[str]:
        store, last = Store(there.root / str(number)), False
        while True:
            last = pushed.is_set()  # then it must succeed
            try:
                pull(store, [place], Remote(address), Silent())
                return store.verify(store.open(place))
            except (RemoteError, ArtifactNotFoundError):
                assert store.artifacts() == [] and not last

    with ThreadPoolExecutor(5) as threads:
        pulls = [threads.submit(keep_pulling, number) for number in range(2)]
        pushes = [threads.submit(send, here, predictions, Remote(address)) for _ in range(3)]
        try:
            assert all(one.result().artifacts for one in pushes)
        finally:
            pushed.set()
        assert [one.result() for one in pulls] == [[], []]
    assert list((folder / "incoming").iterdir()) == [] and len(remote.entries()) == 3


def test_a_folder_that_cannot_be_written_is_a_sentence(here: Store, predictions: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IodineKitError, match="file"):
        send(here, predictions, Remote(parse_address(str(tmp_path / "file" / "deep"))))


def test_a_tag_travels_with_its_artifact_and_never_moves(
    here: Store, there: Store, predictions: Artifact, remote: Remote, folder: Path, make: Callable[..., Artifact]
) -> None:
    tag = add_tag(here, "best", predictions)
    send(here, predictions, remote, tags=[tag])
    fetch(there, remote, "tag:best")
    assert find_tag(there, "best").artifact == predictions.reference
    assert [one.name for one in tags(remote)] == ["best"]
    with pytest.raises(ArtifactNotFoundError, match=r"no such tag at .*did you mean 'best'"):
        fetch(there, remote, "tag:bst")
    with pytest.raises(ConfigError, match="cannot be a tag"):
        fetch(there, remote, "tag:../../manifests/a")
    other = Store(there.root.with_name("other"))
    moved = add_tag(other, "best", make(other, "run", {"w": b"w"}))
    with pytest.raises(ResumeError, match=r"this tag names run/toy-.*iodine-kit tag --delete best"):
        fetch(other, remote, "tag:best")
    with pytest.raises(ResumeError, match=r"this tag names predictions/toy-.*delete tags/best\.json there"):
        send(other, other.resolve(moved.artifact), remote, tags=[moved])
    assert len(other.artifacts()) == 1 and len(remote.entries()) == 3
    elsewhere = {"kind": "run", "name": "other", "key": "a" * 64, "content": "b" * 64}
    away = {**tag.model_dump(mode="json", by_alias=True), "artifact": elsewhere}
    (folder / "tags" / "best.json").write_text(json.dumps(away))
    with pytest.raises(ArtifactNotFoundError, match="the artifact of this tag is not at"):
        fetch(Store(there.root.with_name("third")), remote, "tag:best")
    (folder / "tags" / "best.json").write_text("{}")
    with pytest.raises(CorruptDataError, match=r"tags/best\.json: this tag is damaged"):
        fetch(there, remote, "tag:best")
    assert tags(remote) == []


def test_a_store_is_not_a_remote_of_itself(here: Store, predictions: Artifact) -> None:
    for place in (here.root, here.root / "remote"):
        with pytest.raises(ConfigError, match=r"this folder is in the store .*: give another folder"):
            send(here, predictions, Remote(parse_address(str(place))))
    assert not (here.root / "objects").exists()


def test_push_and_pull_list_inputs_first(here: Store, there: Store, predictions: Artifact, remote: Remote) -> None:
    sent = send(here, predictions, remote).artifacts
    assert [one.partition("/")[0] for one in sent] == ["dataset", "run", "predictions"]
    assert fetch(there, remote).artifacts == sent
