"""Every guard for ``.npy`` files protects each of their users: the layouts and the readers of predictions."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from fakes import MARKER, Bomb, npy_head

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError
from iodine_kit.layouts import Expected, npy, oclf
from iodine_kit.predictions.readers import READERS, reader_of
from iodine_kit.records import DatasetInfo
from iodine_kit.tfrecord import FieldSpec
from iodine_kit.untrusted import npy as headers

H, W = 6, 8
FIELDS = {"image": FieldSpec(np.uint8, (H, W, 3)), "mask": FieldSpec(np.uint8, (H, W))}
EXPECTED = Expected("multi-dsprites", DatasetInfo("multi-dsprites", H, W, 5), FIELDS, {})
IMAGES = np.zeros((3, H, W, 3), np.uint8)


def saved(values: Any, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, version)
    return stream.getvalue()


def layout_npy(content: bytes, folder: Path) -> None:
    np.save(folder / "train_images.npy", IMAGES)
    (folder / "train_masks.npy").write_bytes(content)
    for item in npy.items([folder], EXPECTED, npy.Config()):
        npy.scenes(item, "key", EXPECTED, npy.Config())


def layout_oclf(content: bytes, folder: Path) -> None:
    with tarfile.open(folder / "train.tar", "w") as tar:
        for name, member in (("image", saved(IMAGES[0])), ("mask", content)):
            packed = gzip.compress(member)
            info = tarfile.TarInfo(f"0.{name}.npy.gz")
            info.size = len(packed)
            tar.addfile(info, io.BytesIO(packed))
    for item in oclf.items([folder / "train.tar"], EXPECTED, oclf.Config()):
        oclf.scenes(item, "key", EXPECTED, oclf.Config())


def reader_npy(content: bytes, folder: Path) -> None:
    (folder / "masks.npy").write_bytes(content)
    _read_column(folder / "masks.npy")


def reader_npz(content: bytes, folder: Path) -> None:
    with zipfile.ZipFile(folder / "masks.npz", "w") as archive:
        archive.writestr("mask.npy", content)
    _read_column(folder / "masks.npz")


def _read_column(path: Path) -> None:
    column = READERS.load(reader_of(path)).columns(path)["mask"]
    column.rows(np.arange(min(3, column.shape[0])))


USERS: dict[str, Callable[[bytes, Path], None]] = {
    "layout npy": layout_npy,
    "layout oclf": layout_oclf,
    "reader npy": reader_npy,
    "reader npz": reader_npz,
}
BOMB = Bomb(Path(MARKER))
MASKS = saved(np.zeros((3, H, W), np.uint8))
REFUSED: dict[str, tuple[bytes, type[IodineKitError], str]] = {
    "pickle": (pickle.dumps(BOMB), SchemaError, "pickle"),
    "pickle in an array": (saved(np.array([BOMB], object)), SchemaError, "pickle"),
    "records": (saved(np.zeros((3, H, W), [("a", "u1")])), SchemaError, "not of numbers"),
    "records of version 3": (
        saved(np.zeros((3, H, W), [("ł", "u1")]), (3, 0)),
        SchemaError,
        "not of numbers",
    ),
    "times": (saved(np.zeros((3, H, W), "M8[s]")), SchemaError, "not of numbers"),
    "negative dimension": (npy_head((-3, H, W)) + bytes(3 * H * W), SchemaError, "not of numbers"),
    "unknown version": (b"\x93NUMPY\x09\x09 from the future", CorruptDataError, "npy"),
    "header alone": (b"\x93NUMPY\x01\x00", CorruptDataError, "truncated"),
    "nested header": (b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000, CorruptDataError, "npy"),
    "text": (b"hello, this is not an array", CorruptDataError, "npy"),
}
REFUSED_WHEN_MAPPED: dict[str, tuple[bytes, type[IodineKitError], str]] = {
    "truncated": (MASKS[:-1], CorruptDataError, "truncated"),
    "row of 2 GiB": (npy_head((3, 1 << 31)), SchemaError, "more than 1 GiB"),
    "a terabyte": (npy_head((3 << 28, H, W)) + bytes(1000), CorruptDataError, "truncated"),
    "dimensions that overflow": (npy_head((3, 1 << 40, 1 << 40)) + bytes(1000), SchemaError, "more than 1 GiB"),
    "rows that overflow": (npy_head((1 << 62, H, W)) + bytes(1000), CorruptDataError, "truncated"),
}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_WHEN_MAPPED])
def test_every_user_refuses(user: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if user == "layout oclf" and name in REFUSED_WHEN_MAPPED:
        pytest.skip("this layout inflates no more than the data set's shapes allow; see its own tests")
    if user == "reader npy" and name == "text":
        pytest.skip("not recognised as a .npy file")
    monkeypatch.chdir(tmp_path)
    content, error, words = (REFUSED | REFUSED_WHEN_MAPPED)[name]
    if user == "layout npy" and name in ("a terabyte", "rows that overflow"):
        monkeypatch.setattr(npy, "file_header", lambda path: np.load(tmp_path / "train_images.npy"))  # as many rows
    with pytest.raises(error, match=words) as caught:
        USERS[user](content, tmp_path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize("user", USERS)
def test_every_user_reads_an_intact_array(user: str, tmp_path: Path) -> None:
    USERS[user](saved(np.zeros((H, W), np.uint8)) if user == "layout oclf" else MASKS, tmp_path)


def test_only_readers_of_predictions_take_texts_and_empty_arrays(tmp_path: Path) -> None:
    for values in (np.array(["a", "b"]), np.zeros((0, H, W))):
        np.save(tmp_path / "a.npy", values)
        assert READERS.load("npy").columns(tmp_path / "a.npy")["mask"].shape == values.shape
    with pytest.raises(SchemaError, match="not of numbers"):
        layout_npy(saved(np.full((3, H, W), "a")), tmp_path)


def test_one_thread_at_a_time_lets_numpy_parse_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's parser is not safe with several threads in all versions."""
    locked, parse = [], headers._VERSIONS[1, 0]

    def watched(stream: BinaryIO) -> Any:
        locked.append(headers.PARSING.locked())
        return parse(stream)

    monkeypatch.setitem(headers._VERSIONS, (1, 0), watched)
    file = io.BytesIO()
    np.save(file, np.arange(3))
    file.seek(0)
    assert headers.read_header(file, "here").shape == (3,)
    assert locked == [True] and not headers.PARSING.locked()
