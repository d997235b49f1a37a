"""Every guard for HDF5 files protects each of their users: the layouts and the reader of predictions."""

from __future__ import annotations

import re
import signal
import struct
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest
from fakes._reading import in_child

from iodine_kit.artifacts.traversals_file import Traversals, read_traversals, write_traversals
from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError
from iodine_kit.formats import FORMATS, write_split
from iodine_kit.layouts import Expected, addtt, efficient_morl
from iodine_kit.predictions.file import PredictionReader, PredictionWriter
from iodine_kit.predictions.readers import READERS
from iodine_kit.records import DatasetInfo, PredictionBatch, Scene
from iodine_kit.untrusted import hdf5

N, K, H, W = 3, 4, 6, 8
EXPECTED = Expected("tetrominoes", DatasetInfo("tetrominoes", H, W, K), {}, {})
IMAGE = np.zeros((N, H, W, 3), np.uint8)
NAMES = {"addtt": ("image", "mask"), "efficient_morl": ("train/imgs", "train/masks"), "reader": ("image", "mask")}


def write(path: Path, user: str) -> Path:
    with h5py.File(path, "w") as file:
        image, mask = NAMES[user]
        file[image] = IMAGE
        file[mask] = np.zeros((N, H, W), np.uint8) if user != "efficient_morl" else np.eye(K)[np.zeros((N, H, W), int)]
    return path


def read(path: Path, user: str) -> set[str]:
    """Read every row of every data set; return the names of the data sets."""
    if user == "reader":
        columns = READERS.load("hdf5").columns(path)
        for column in columns.values():
            column.rows(np.arange(column.shape[0]))
        return set(columns)
    layout = {"addtt": addtt, "efficient_morl": efficient_morl}[user]
    layout.recognises(path)
    for item in layout.items([path], EXPECTED, layout.Config()):
        layout.scenes(item, "key", EXPECTED, layout.Config())
    return set(NAMES[user])


def virtual(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout(IMAGE.shape, np.uint8)
    layout[:] = h5py.VirtualSource(file.filename + ".other", "image", IMAGE.shape)
    file.create_virtual_dataset(name, layout)


def external(file: h5py.File, name: str) -> None:
    raw = Path(file.filename).with_suffix(".raw")
    raw.write_bytes(IMAGE.tobytes())
    file.create_dataset(name, IMAGE.shape, np.uint8, external=[(str(raw), 0, h5py.h5f.UNLIMITED)])


def large_row(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (N, 1 << 20, 1 << 20, 3), np.uint8, chunks=(1, 1, 1, 3))


def large_chunk(file: h5py.File, name: str) -> None:
    file.create_dataset(name, IMAGE.shape, np.uint8, chunks=(1, H, W, 3), maxshape=(None, None, None, 3))
    del file[name]
    file.create_dataset(name, (0, H, W, 3), np.uint8, chunks=(1 << 24, H, W, 3), maxshape=(None, H, W, 3))


REFUSED: dict[str, tuple[Callable[[h5py.File, str], None], str]] = {
    "virtual": (virtual, "other files"),
    "external data": (external, "other files"),
    "row of 3 TiB": (large_row, "more than 1 GiB"),
    "chunk of 2 GiB": (large_chunk, "more than 1 GiB"),
}
LINKS = {
    "soft link": h5py.SoftLink("/other"),
    "external link": h5py.ExternalLink("other.h5", "/image"),
    "link to itself": h5py.SoftLink("image"),
}


@pytest.mark.parametrize("user", NAMES)
@pytest.mark.parametrize("name", REFUSED)
def test_every_user_refuses(user: str, name: str, tmp_path: Path) -> None:
    path, (put, words) = write(tmp_path / "a.h5", user), REFUSED[name]
    write(tmp_path / "a.h5.other", "reader")
    with h5py.File(path, "r+") as file:
        del file[NAMES[user][0]]
        put(file, NAMES[user][0])
    with pytest.raises(SchemaError, match=rf"a\.h5: .*{words}"):
        read(path, user)


@pytest.mark.parametrize("user", NAMES)
@pytest.mark.parametrize("link", LINKS)
def test_no_user_follows_a_link(user: str, link: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", user)
    write(tmp_path / "other.h5", "reader")
    with h5py.File(path, "r+") as file:
        file["other"] = IMAGE
        del file[NAMES[user][0]]
        file[NAMES[user][0]] = LINKS[link]
        if user == "efficient_morl":
            del file["other"]
    if user == "reader":
        assert read(path, user) == {"mask", "other"}  # links are ignored: a file may have arrays that are not imported
    else:
        with pytest.raises(SchemaError, match="is a link"):
            read(path, user)


def damage_heap(path: Path) -> None:
    """Set the length of free space in a global heap to 0: the HDF5 library loops for ever."""
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL")
    end, at = start + struct.unpack_from("<Q", content, start + 8)[0], start + 16
    while at < end:
        index, _, _, size = struct.unpack_from("<HHIQ", content, at)
        if index == 0:
            content[at + 8 : at + 16] = bytes(8)
            path.write_bytes(content)
            return
        at += 16 + -(-size // 8) * 8
    raise AssertionError("no free space")


@pytest.mark.parametrize("user", NAMES)
@pytest.mark.parametrize("kind", ["virtual", "texts"])
def test_every_user_refuses_a_damaged_heap(user: str, kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", user)
    with h5py.File(path, "r+") as file:
        if kind == "virtual":  # opening it alone reads the heap
            del file[NAMES[user][0]]
            virtual(file, NAMES[user][0])
        else:
            file[NAMES[user][0].replace("im", "key of im")] = ["a", "b", "c"]
    damage_heap(path)
    assert in_child([kind], lambda _: _problem(path, user)) == []


def own_split(path: Path) -> None:
    stored = [Scene(f"s{i}", np.zeros((6, 8, 3), np.uint8), np.zeros((6, 8), np.uint8)) for i in range(N)]
    write_split(FORMATS.load("hdf5"), path.parent, path.stem, iter(stored), FORMATS.load("hdf5").Config())


def own_predictions(path: Path) -> None:
    with PredictionWriter(path, N) as writer:
        writer.append(PredictionBatch(("a", "b", "c"), np.zeros((N, H, W), np.uint8)))


def own_traversals(path: Path) -> None:
    columns = {field.name: np.zeros(N, np.uint8) for field in fields(Traversals) if field.name != "keys"}
    write_traversals(path.parent, Traversals(["a", "b", "c"], **columns))


OWN = {
    "split.h5": (own_split, lambda path: FORMATS.load("hdf5").open_split(path.parent, path.stem)),
    "predictions.h5": (own_predictions, PredictionReader),
    "traversals.h5": (own_traversals, lambda path: read_traversals(path.parent)),
}


@pytest.mark.parametrize("name", OWN)
def test_our_own_files_with_a_damaged_heap_are_refused(name: str, tmp_path: Path) -> None:
    write, read = OWN[name]
    write(tmp_path / name)
    read(tmp_path / name)
    damage_heap(tmp_path / name)

    def problem(_: str) -> str:
        try:
            read(tmp_path / name)
        except CorruptDataError as error:
            return "" if "its global heap is damaged" in str(error) else str(error)
        return "was read"

    assert in_child([name], problem) == []


def test_values_whose_first_write_is_refused_are_not_lost(tmp_path: Path) -> None:
    """HDF5 writes small data sets when it closes them, and ignores an error then: the file would hold zeros."""
    resource = pytest.importorskip("resource")

    def problem(_: str) -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with hdf5.create_file(tmp_path / "a.h5") as file:
            file.create_dataset("a", data=np.arange(5))
            dataset = file.create_dataset("b", (5,), np.int64)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            dataset[:] = np.arange(5)
            del dataset
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        with h5py.File(tmp_path / "a.h5") as file:
            return "" if file["a"][:].tolist() == file["b"][:].tolist() == list(range(5)) else str(file["b"][:])

    assert in_child(["a"], problem) == []


def _problem(path: Path, user: str) -> str:
    try:
        read(path, user)
    except CorruptDataError as error:
        return "" if "a.h5: truncated or altered: its global heap is damaged" in str(error) else str(error)
    return "was read"


@pytest.mark.parametrize("user", NAMES)
def test_every_user_reports_names_that_are_not_text_and_truncation(user: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", user)
    with h5py.File(path, "r+") as file:
        file.move(NAMES[user][0], NAMES[user][0].encode().replace(b"im", b"\xe9m"))
    with pytest.raises(CorruptDataError, match="is not text"):
        read(path, user)
    whole = write(path, user).read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(IodineKitError, match=r"a\.h5: truncated, or cannot be read as HDF5"):
            read(path, user)


@pytest.mark.parametrize("user", NAMES)
def test_every_user_reads_an_intact_file(user: str, tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.h5", user), user) == set(NAMES[user])


def texts(file: h5py.File, name: str) -> None:
    file[name] = ["a", "b", "c"]


def numbers(file: h5py.File, name: str) -> None:
    file[name] = IMAGE


def compressed(file: h5py.File, name: str) -> None:
    file.create_dataset(name, data=IMAGE, chunks=(1, H, W, 3), compression="gzip", maxshape=(None, None, W, 3))


def group(file: h5py.File, name: str) -> None:
    file.create_group(name)


MEMBERS: dict[str, tuple[Callable[[h5py.File, str], None], bool]] = {
    "virtual": (virtual, True),
    "texts": (texts, True),
    "numbers": (numbers, False),
    "compressed": (compressed, False),
    "group": (group, False),
}


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("version", ["earliest", "v110", "latest"])
@pytest.mark.parametrize("attributes", [0, 1, 7, 30])
@pytest.mark.parametrize("userblock", [0, 1024])
def test_the_whole_file_is_read_only_for_members_that_need_its_heaps(
    member: str, version: str, attributes: int, userblock: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, (put, needed) = tmp_path / "a.h5", MEMBERS[member]
    with h5py.File(path, "w", libver=(version, "latest"), userblock_size=userblock, track_order=attributes > 1) as file:
        put(file, "one")
        for number in range(attributes):  # many of them continue the header in other blocks
            file["one"].attrs[f"attribute {number}"] = np.arange(number + 3)
    checked: list[Path] = []
    monkeypatch.setattr(hdf5, "check_all_heaps", checked.append)
    with hdf5.open_file(path) as file:
        hdf5.open_member(file, "one", path)
    assert checked == [path] * needed


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_a_header_that_cannot_be_read_counts_as_virtual(version: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=(version, "latest")) as file:
        file["one"] = IMAGE
    content = path.read_bytes()
    with hdf5.open_file(path) as file:
        at = file.id.links.get_info(b"one").u
        assert not hdf5.may_be_virtual(file, "one", path)
        # The layout message (type 8) behind its header of either version; its class is 1, contiguous.
        message = re.compile(rb"\x08(\x12\x00.|\x00\x18\x00.\x00\x00\x00)(?P<layout>[\x03\x04]\x01)", re.DOTALL)
        found = message.search(content, at)
        assert found
        layout = found.start("layout")
        for damaged in (
            content[:at],
            content[: at + 30],
            content[:at] + b"\x09" + content[at + 1 :],
            content[:layout] + b"\x04\x03" + content[layout + 2 :],
        ):
            (tmp_path / "other").write_bytes(damaged)
            assert hdf5.may_be_virtual(file, "one", tmp_path / "other")
