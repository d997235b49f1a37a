"""OCLF's shards: valid ones, and every kind of hostile or damaged tar archive."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.layouts import Expected, Item, oclf
from iodine_kit.layouts._arrays import other_dataset
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.tfrecord import FieldSpec

K, H, W = 3, 6, 8
FIELDS = {
    "image": FieldSpec(np.uint8, (H, W, 3)),
    "mask": FieldSpec(np.uint8, (H, W, K, 1)),  # as in a TFRecord file; shards have entities first
    "x": FieldSpec(np.float32, (K,)),
}
OTHER = {"image": FieldSpec(np.uint8, (H, W, 3)), "mask": FieldSpec(np.uint8, (K + 1, H, W, 1))}
EXPECTED = Expected("this", DatasetInfo("this", H, W, K), FIELDS, {"this": FIELDS, "that": OTHER})
CONFIG = oclf.Config()
IMAGE = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
INDEX = np.random.default_rng(1).integers(0, K, (H, W), np.uint8)


def one_hot(entities: int = K) -> Any:
    return 255 * (np.arange(entities)[:, None, None] == INDEX).astype(np.uint8)[..., None]


def packed(values: Any, *, more: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return gzip.compress(stream.getvalue() + more)


def sample(key: int = 7, **changed: Any) -> dict[str, bytes]:
    features = {"image": IMAGE, "mask": one_hot(), "x": np.arange(K, dtype=np.float32)} | changed
    given = {name: value for name, value in features.items() if value is not None}
    return {f"{key}.{n}.npy.gz": value if isinstance(value, bytes) else packed(value) for n, value in given.items()}


def shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def items(path: Path) -> list[Item]:
    return list(oclf.items([path], EXPECTED, CONFIG))


def read(path: Path) -> list[Scene]:
    return [scene for item in items(path) for scene in oclf.scenes(item, "key", EXPECTED, CONFIG)]


def test_folders_are_splits(tmp_path: Path) -> None:
    shard(tmp_path / "val" / "shard-000000.tar", sample(3) | sample(11))
    shard(tmp_path / "train" / "shard-000001.tar", sample(5))
    first = shard(tmp_path / "train" / "shard-000000.tar", sample(2))
    listed = [(item.split, item.place.rpartition(" ")[2]) for item in items(tmp_path)]
    assert listed == [("train", "2"), ("train", "5"), ("val", "3"), ("val", "11")]
    assert [item.split for item in items(tmp_path / "val")] == ["val"] * 2 and items(first)[0].split == "train"
    for scene in read(tmp_path):
        assert (scene.image == IMAGE).all() and (scene.mask == INDEX).all()
        assert scene.factors.keys() == {"x"} and scene.factors["x"].tolist() == [0, 1, 2]
    assert all(map(oclf.recognises, (tmp_path, tmp_path / "val", first)))


def test_another_data_set_is_named(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", sample(mask=one_hot(K + 1), x=None))
    with pytest.raises(SchemaError, match=r"a.tar: sample 7 is of that, not of this"):
        read(path)
    assert other_dataset(EXPECTED, lambda fields: fields == OTHER) == "that"
    assert other_dataset(EXPECTED, lambda fields: fields == FIELDS) == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": None}, "it has features 'image', 'mask' instead of 'image', 'mask', 'x'"),
        ({"x": np.zeros(4, np.float32)}, "feature 'x' is 4 of float32, not float32.3."),
        ({"x": np.zeros(3)}, "feature 'x' is 3 of float64"),
        ({"x": np.zeros(3, "S1")}, "7, x: an array of .*, not of numbers"),
        ({"image": np.zeros((W, H, 3), np.uint8)}, "images are 8×6, those of this 6×8"),
        ({"mask": np.zeros((K, H, W, 1), np.uint8)}, r"pixel \(0, 0\) belongs to 0 entities"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        read(shard(tmp_path / "a.tar", sample(**changed)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip at all",
        gzip.compress(b"no array"),
        gzip.compress(b"\x93NUMPY\x09\x09 of a version to come"),
        gzip.compress(b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000),
        packed(IMAGE)[:-20],
        packed(IMAGE)[:-8] + bytes(8),
        packed(IMAGE, more=b"more"),
        packed(IMAGE, more=bytes(1 << 24)),
    ],
    ids=["empty", "text", "gzipped text", "version", "nested header", "cut", "checksum", "longer", "bomb"],
)
def test_the_error_for_damage_names_the_feature(tmp_path: Path, content: bytes) -> None:
    path = shard(tmp_path / "a.tar", sample(3, image=content) | sample(4))
    bad, good = items(path)
    with pytest.raises(CorruptDataError, match=r"a.tar: sample 3, image"):
        oclf.scenes(bad, "key", EXPECTED, CONFIG)
    assert len(oclf.scenes(good, "key", EXPECTED, CONFIG)) == 1


def test_an_array_larger_than_its_file_takes_no_memory(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (1 << 50,)})
    with pytest.raises(SchemaError, match="feature 'image' is 1125899906842624 of uint8"):
        read(shard(tmp_path / "a.tar", sample(image=gzip.compress(stream.getvalue()))))


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("raw", [True, False])
def test_a_pickle_is_not_opened(tmp_path: Path, raw: bool) -> None:
    bomb = Bomb(tmp_path / "created")
    content = gzip.compress(pickle.dumps(bomb)) if raw else packed(np.array([bomb], dtype=object))
    with pytest.raises(SchemaError, match=r"sample 7, x holds a pickle"):
        read(shard(tmp_path / "a.tar", sample(x=content)))
    assert not bomb.path.exists()


@pytest.mark.parametrize("name", ["/etc/1.x.npy.gz", "../1.x.npy.gz", "a/../../1.x.npy.gz", "1.json", "7.image.npy.gz"])
def test_other_member_names_are_refused(tmp_path: Path, name: str) -> None:
    path = shard(tmp_path / "a.tar", sample())
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(SchemaError, match=r"path outside|another kind|has image twice"):
        items(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("0.image.npy.gz")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(SchemaError, match=r"'0.image.npy.gz' is a link or a device"):
        items(tmp_path / "a.tar")


def test_samples_larger_than_any_known_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="more than any published one"):
        items(shard(tmp_path / "a.tar", {"0.image.npy.gz": bytes(2 << 20)}))
    with pytest.raises(SchemaError, match="sample 0 takes more than"):
        items(shard(tmp_path / "a.tar", {f"0.f{i}.npy.gz": bytes(1 << 18) for i in range(6)}))


@pytest.mark.parametrize("place", ["header", "end", "content", "zeroed"])
def test_a_damaged_shard_loses_nothing_silently(tmp_path: Path, place: str) -> None:
    path = shard(tmp_path / "a.tar", sample(1) | sample(2))
    data = bytearray(path.read_bytes())
    start = data.index(b"2.image")
    if place == "header":
        data[start] ^= 1
    elif place == "zeroed":
        data[start : start + 512] = bytes(512)
    else:
        del data[start + 600 if place == "content" else start :]
    path.write_bytes(data)
    with pytest.raises(CorruptDataError, match=r"a\.tar"):
        items(path)


def test_recognition(tmp_path: Path) -> None:
    shard(tmp_path / "own" / "train-000000.tar", {"train-0.image.png": b"", "train-0.meta.json": b"{}"})
    (tmp_path / "noise.tar").write_bytes(b"noise" * 500)
    (tmp_path / "empty").mkdir()
    assert not any(
        map(oclf.recognises, (tmp_path / "own", tmp_path / "noise.tar", tmp_path / "empty", tmp_path / "no"))
    )
