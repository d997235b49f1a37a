"""The readers of files that are fuzzed, each with valid files to start from."""

from __future__ import annotations

import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faults import own_files

N, K, SIDE = 3, 4, 8


@dataclass(frozen=True)
class ReaderUnderTest:
    """A reader of one kind of file.

    Attributes:
        seeds: writes valid files into a folder, and returns their bytes.
        read: reads a file completely; returns what must not change if only bits are flipped, or ``None``.
        name: of the file.
    """

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], Any]
    name: str


def _scenes() -> list[Any]:
    from iodine_kit.records import Scene

    draw = np.random.default_rng(0)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[2:5, 2:5] = 1
    image = draw.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return [Scene(f"s{i}", image, mask, {"x": np.arange(K, dtype=np.float32)}) for i in range(N)]


def _tfrecords(folder: Path) -> list[bytes]:
    from iodine_kit.tfrecord import serialize_example, write_records

    record = serialize_example({"image": np.arange(48, dtype=np.uint8), "x": np.ones(3, np.float32), "n": np.arange(2)})
    for compression in ("none", "gzip", "zlib"):
        write_records(folder / compression, [record, record], compression)  # type: ignore[arg-type]
    return [(folder / name).read_bytes() for name in ("none", "gzip", "zlib")]


def _read_tfrecords(path: Path) -> Any:
    from iodine_kit.tfrecord import read_examples

    return [{name: one.values.tobytes() for name, one in raw.features.items()} for raw in read_examples(path)]


def _split(folder: Path, format_name: str) -> None:
    from iodine_kit.formats import FORMATS, write_split

    plugin = FORMATS.load(format_name)
    write_split(plugin, folder, "test", iter(_scenes()), plugin.Config())


def _read_split(format_name: str, folder: Path) -> None:
    from iodine_kit.formats import FORMATS

    reader = FORMATS.load(format_name).open_split(folder, "test")
    try:
        for index in range(len(reader)):
            reader.scene(index)
        reader.batch(np.arange(len(reader)))
    finally:
        reader.close()


def _own_hdf5(folder: Path) -> list[bytes]:
    _split(folder, "hdf5")
    return [(folder / "test.h5").read_bytes()]


def _webdataset(name: str, folder: Path) -> list[bytes]:
    _split(folder, "webdataset")
    return [(folder / name).read_bytes()]


@functools.cache
def _valid_webdataset() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="iodine-kit-webdataset-"))
    _split(folder, "webdataset")
    return folder


def _read_webdataset(path: Path) -> None:
    """Read a split of which one file is damaged, and the other is as it was."""
    for other in _valid_webdataset().iterdir():
        if other.name != path.name and not (path.parent / other.name).exists():
            (path.parent / other.name).write_bytes(other.read_bytes())
    _read_split("webdataset", path.parent)


def _third_party(kind: str, path: Path) -> None:
    from iodine_kit.predictions.readers import HEAD, READERS

    reader = READERS.load(kind)
    columns = reader.columns(path) if reader.recognises(path, path.read_bytes()[:HEAD]) else {}
    for column in columns.values():
        column.rows(np.arange(min(column.shape[0] if column.shape else 0, 4)))


def _hdf5(folder: Path) -> list[bytes]:
    import h5py

    for number, options in enumerate(({}, {"compression": "gzip", "chunks": (1, SIDE, SIDE)})):
        with h5py.File(folder / str(number), "w", libver=("earliest", "latest")[number]) as file:
            file.create_dataset("deep/mask", data=np.zeros((N, SIDE, SIDE), np.uint8), **options)
            file["key"] = ["a", "b", "c"]
    return [(folder / str(number)).read_bytes() for number in range(2)]


def _npz(folder: Path) -> list[bytes]:
    arrays = {"mask": np.zeros((N, SIDE, SIDE), np.uint8), "key": np.array(["a", "b", "c"])}
    np.savez(folder / "a.npz", **arrays)
    np.savez_compressed(folder / "b.npz", **arrays)
    return [(folder / name).read_bytes() for name in ("a.npz", "b.npz")]


def _npy(folder: Path) -> list[bytes]:
    np.save(folder / "a.npy", np.zeros((N, SIDE, SIDE), np.uint8))
    np.save(folder / "b.npy", np.ones((N, SIDE, SIDE, 1), "<f4"))
    return [(folder / name).read_bytes() for name in ("a.npy", "b.npy")]


def _pictures(kind: str, folder: Path) -> list[bytes]:
    from PIL import Image

    image, mask = _scenes()[0].image, _scenes()[0].mask
    palette = Image.fromarray(mask).convert("P")
    pictures = [
        Image.fromarray(image),
        Image.fromarray(mask),
        palette if kind == "PNG" else Image.fromarray(image[..., 0]),
    ]
    if kind == "PNG":
        pictures.append(Image.fromarray(mask.astype(np.uint16) * 257))
    files = [io.BytesIO() for _ in pictures]
    for picture, file in zip(pictures, files, strict=True):
        picture.save(file, kind)
    return [file.getvalue() for file in files]


def _read_picture(path: Path) -> None:
    from iodine_kit.errors import IodineKitError
    from iodine_kit.untrusted.masks import read_index
    from iodine_kit.untrusted.pictures import read_picture

    try:
        read_picture(path, "picture")
    finally:
        with suppress(IodineKitError):
            read_index(path, "mask")


def _oclf(folder: Path) -> list[bytes]:
    from fakes import oclf

    fake = oclf.make(folder, 2, dataset="tetrominoes")
    return [next(fake.source.rglob("*.tar")).read_bytes()]


@functools.cache
def _expected_tetrominoes() -> Any:
    from fakes import Fake
    from fakes._reading import expected

    return expected(Fake("tetrominoes", {}, Path(), []))


def _read_oclf(path: Path) -> None:
    from iodine_kit.layouts import LAYOUTS

    plugin, wanted = LAYOUTS.load("oclf"), _expected_tetrominoes()
    if plugin.recognises(path):
        for number, item in enumerate(plugin.items([path], wanted, plugin.Config())):
            plugin.scenes(item, str(number), wanted, plugin.Config())


def _bundle(folder: Path) -> list[bytes]:
    from unit.tensorbundle import writer

    values = {"a/w": np.arange(6, dtype=np.float32), "a/w/Adam": np.ones(6, np.float32), "step": np.int64(7)}
    return [writer.write(folder / "m.ckpt", values, 1).read_bytes()]


def _read_bundle(path: Path) -> None:
    from iodine_kit.tensorbundle import Bundle, locate

    shard = path.with_name(f"{path.stem}.data-00000-of-00001")
    if not shard.exists():
        shard.write_bytes(
            np.arange(6, dtype=np.float32).tobytes() + np.ones(6, np.float32).tobytes() + bytes([7] + [0] * 7)
        )
    bundle = Bundle(*locate(path))
    for name in bundle.variables:
        bundle.read(name)


def _zip(folder: Path) -> list[bytes]:
    from unit.tensorbundle import writer

    writer.write(folder / "c" / "m.ckpt", {"w": np.arange(6, dtype=np.float32)}, 1)
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "c").iterdir()):
            archive.write(path, f"c/{path.name}")
    return [(folder / "a.zip").read_bytes()]


def _read_zip(path: Path) -> None:
    from iodine_kit.tensorbundle import Bundle
    from iodine_kit.tensorbundle.files import ZipFolder

    files = ZipFolder(path, "c")
    Bundle(files, "m.ckpt").read("w")


def _json(folder: Path) -> list[bytes]:
    scenes = [{"image_index": i, "objects": [{"color": "red", "3d_coords": [1, 2.5, 0]}]} for i in range(2)]
    return [json.dumps({"info": {"split": "val"}, "scenes": scenes}).encode()]


def _read_json(path: Path) -> None:
    from iodine_kit.errors import IodineKitError
    from iodine_kit.untrusted.json_files import document, elements

    with suppress(IodineKitError):
        list(elements(path, "scenes"))
    document(path)


READERS: dict[str, ReaderUnderTest] = {
    "TFRecord": ReaderUnderTest(_tfrecords, _read_tfrecords, "a.tfrecords"),
    "tar, OCLF": ReaderUnderTest(_oclf, _read_oclf, "shard-000000.tar"),
    "tar, WebDataset": ReaderUnderTest(
        functools.partial(_webdataset, "test-000000.tar"), _read_webdataset, "test-000000.tar"
    ),
    "tar, packed artifacts": ReaderUnderTest(own_files.archives, own_files.read_archive, "a.tar"),
    "npz, index of WebDataset": ReaderUnderTest(
        functools.partial(_webdataset, "test.index.npz"), _read_webdataset, "test.index.npz"
    ),
    "HDF5, data set": ReaderUnderTest(
        _own_hdf5, lambda path: _read_split("hdf5", path.parent), "test.h5"
    ),
    "HDF5, predictions": ReaderUnderTest(own_files.predictions, own_files.read_predictions, "predictions.h5"),
    "HDF5, third-party": ReaderUnderTest(_hdf5, functools.partial(_third_party, "hdf5"), "a.h5"),
    "npz": ReaderUnderTest(_npz, functools.partial(_third_party, "npz"), "a.npz"),
    "npy": ReaderUnderTest(_npy, functools.partial(_third_party, "npy"), "a.npy"),
    "PNG": ReaderUnderTest(functools.partial(_pictures, "PNG"), _read_picture, "a.png"),
    "JPEG": ReaderUnderTest(functools.partial(_pictures, "JPEG"), _read_picture, "a.jpg"),
    "manifest": ReaderUnderTest(own_files.manifests, own_files.read_manifest, "manifest.json"),
    "TOML pipeline": ReaderUnderTest(own_files.pipelines, own_files.read_pipeline, "p.toml"),
    "TensorFlow checkpoint": ReaderUnderTest(_bundle, _read_bundle, "m.ckpt.index"),
    "safetensors": ReaderUnderTest(own_files.weights, own_files.read_weights, "w.safetensors"),
    "zip of checkpoints": ReaderUnderTest(_zip, _read_zip, "a.zip"),
    "JSON of CLEVR": ReaderUnderTest(_json, _read_json, "scenes.json"),
}  # fmt: skip
