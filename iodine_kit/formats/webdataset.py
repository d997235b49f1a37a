"""WebDataset: tar shards ``<split>-000000.tar`` that plain ``webdataset`` reads, with an index for random access.

A sample has three members: ``<key>.image.png`` (RGB; or ``.webp``, ``.jpg``), ``<key>.mask.png`` (8-bit grey, the
entity index) and ``<key>.meta.json`` (factors). Tar headers contain neither time nor owner, so the same scenes give the
same bytes. ``<split>.index.npz`` lists the offset and size of every member; readers that stream do not need it.

In the names of members, ``.`` and ``%`` of a key are ``%2E`` and ``%25``, because the key ends at the first dot.
"""

from __future__ import annotations

import io
import json
import mmap
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iodine_kit.errors import CorruptDataError
from iodine_kit.formats import Columns, Reader, Sample, ShardedConfig
from iodine_kit.records import Array, Bytes, Scene, SceneBatch
from iodine_kit.system import OpenFiles, refusal, storage_errors
from iodine_kit.untrusted import NPZ_ERRORS, ZIP_ERRORS
from iodine_kit.untrusted.npy import PARSING

VERSION = 2
MASK, META = "mask.png", "meta.json"
_MEMBERS = 3
_EXTENSIONS = {"png": "image.png", "webp-lossless": "image.webp", "jpeg": "image.jpg"}
_READABLE = ("PNG", "WEBP", "JPEG")


class Config(ShardedConfig):
    """How to store.

    Attributes:
        image_codec: ``png``; ``webp-lossless`` (a quarter smaller, three times slower to write); or ``jpeg``, which
            changes pixels and distorts areas of one colour.
        jpeg_quality: quality of ``jpeg``, 1 to 95; colours are not subsampled.
        scenes_per_shard: number of scenes in every shard but the last.
    """

    image_codec: Literal["png", "webp-lossless", "jpeg"] = "png"
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] = 95
    scenes_per_shard: Annotated[int, Field(ge=1, le=100_000)] = 5000


def encode(scene: Scene, config: Config) -> dict[str, bytes]:
    """Encode the members of a sample. See :class:`iodine_kit.formats.FormatPlugin`."""
    factors = {name: {"dtype": str(v.dtype), "values": v.tolist()} for name, v in scene.factors.items()}
    meta = json.dumps({"factors": factors}, sort_keys=True).encode()
    return {_EXTENSIONS[config.image_codec]: _image(scene.image, config), MASK: _png(scene.mask), META: meta}


def write_shard(
    directory: Path, split: str, number: int, samples: Iterable[Sample], count: int, columns: Columns, config: Config
) -> Path:
    """Write ``<split>-NNNNNN.tar``."""
    import webdataset  # imported late, because it imports torch, which takes seconds

    path = directory / _shard_name(split, number)
    with (
        storage_errors(path, "written"),
        path.open("wb") as file,
        webdataset.TarWriter(file, encoder=False, mtime=0, user="", group="") as tar,
    ):
        for sample in samples:
            tar.write({"__key__": _member_key(sample.key), **sample.parts})
    return path


def finish(directory: Path, split: str, shards: Sequence[int], config: Config) -> None:
    """Write the index of all shards."""
    members = (_EXTENSIONS[config.image_codec], MASK, META)
    parts = [_index_shard(directory / _shard_name(split, number), members) for number in range(len(shards))]
    key, place = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    shard = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part[0]) for part in parts])
    index = directory / f"{split}.index.npz"
    with storage_errors(index, "written"):
        np.savez(index, key=key, shard=shard, place=place)


def open_split(directory: Path, split: str) -> ShardReader:
    """Open the shards of a split through their index."""
    return ShardReader(directory, split)


class ShardReader(Reader):
    """Random access to the samples of a split; a shard is mapped into memory when it is used, few at the same time."""

    def __init__(self, directory: Path, split: str) -> None:
        self._directory, self._split = directory, split
        path = directory / f"{split}.index.npz"
        try:
            with PARSING, np.load(path, allow_pickle=False) as index:
                key, self._shard, self._place = (np.asarray(index[name]) for name in ("key", "shard", "place"))
            if not (key.dtype.kind == "U" and self._shard.dtype.kind == self._place.dtype.kind == "i"):
                raise ValueError("its columns are not texts and whole numbers")
            if self._shard.shape != key.shape or self._place.shape != (key.size, _MEMBERS, 2):
                raise ValueError("its columns have different lengths")
            self._keys = key.tolist()
        except NPZ_ERRORS as error:
            problem = f"{path}: not an index of WebDataset shards: {error}"
            raise refusal(error, path) or CorruptDataError(problem) from None
        self._maps = OpenFiles(self._map, mmap.mmap.close)
        self._reading = Lock()  # no other thread may close a shard that is read

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> list[str]:
        return list(self._keys)

    def batch(self, indices: Sequence[int] | NDArray[Any]) -> SceneBatch:
        images, masks = zip(*((self._image(int(i), 0), self._image(int(i), 1)) for i in indices), strict=True)
        return SceneBatch(tuple(self._keys[int(i)] for i in indices), np.stack(images), np.stack(masks))

    def scene(self, index: int) -> Scene:
        data = self._bytes(index, 2)
        try:
            meta = json.loads(data)
            factors = {name: np.array(f["values"], f["dtype"]) for name, f in meta["factors"].items()}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problem = f"{self._keys[index]}, its factors cannot be read: {error!r}"
            raise CorruptDataError(f"{self._path_of(index)}: {problem}") from None
        return Scene(self._keys[index], self._image(index, 0), self._image(index, 1), factors)

    def close(self) -> None:
        with self._reading:
            self._maps.close()

    def _image(self, index: int, member: int) -> Bytes:
        from PIL import Image  # in functions, because a list of formats loads this module and reads no file

        data = self._bytes(index, member)
        try:
            return np.asarray(Image.open(io.BytesIO(data), formats=_READABLE))
        except (Image.DecompressionBombError, SyntaxError, *ZIP_ERRORS) as error:
            place = f"{self._path_of(index)}: {self._keys[index]}, {'image' if member == 0 else 'mask'}"
            raise refusal(error, place) or CorruptDataError(f"{place} is not a valid image: {error}") from None

    def _bytes(self, index: int, member: int) -> bytes:
        offset, size = self._place[index, member]
        with self._reading:
            data = self._maps[int(self._shard[index])][offset : offset + size]
        if len(data) != size:
            raise CorruptDataError(f"{self._path_of(index)}: truncated within {self._keys[index]}")
        return data

    def _map(self, number: int) -> mmap.mmap:
        path = self._directory / _shard_name(self._split, number)
        try:
            with path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise refusal(error, path) or CorruptDataError(f"{path}: cannot be read: {error}") from None

    def _path_of(self, index: int) -> Path:
        return self._directory / _shard_name(self._split, int(self._shard[index]))


def _member_key(key: str) -> str:
    """A key as ``webdataset`` needs it: without dots, nor two underscores first, which it takes for no sample."""
    fit = key.replace("%", "%25").replace(".", "%2E")
    return f"%5F{fit[1:]}" if fit.startswith("__") else fit


def _shard_name(split: str, number: int) -> str:
    return f"{split}-{number:06d}.tar"


def _index_shard(path: Path, members: Sequence[str]) -> tuple[Array, Array]:
    """The keys of the samples, and offset and size of their members ``[n, 3, 2]``; as arrays to save memory."""
    samples: dict[str, dict[str, list[int]]] = {}
    with storage_errors(path), tarfile.open(path) as tar:
        for member in tar:
            key, _, kind = member.name.partition(".")
            samples.setdefault(unquote(key), {})[kind] = [member.offset_data, member.size]
    rows = [[places[kind] for kind in members] for places in samples.values()]
    return np.array(list(samples), np.str_), np.array(rows, np.int64).reshape(-1, _MEMBERS, 2)


def _image(pixels: Array, config: Config) -> bytes:
    if config.image_codec == "png":
        return _png(pixels)
    from PIL import Image

    buffer = io.BytesIO()
    if config.image_codec == "jpeg":
        Image.fromarray(pixels).save(buffer, "JPEG", quality=config.jpeg_quality, subsampling=0)
    else:
        Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=80, method=4, exact=True)
    return buffer.getvalue()


def _png(pixels: Array) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
