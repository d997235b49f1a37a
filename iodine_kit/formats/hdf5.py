"""HDF5: one file per split, ``<split>.h5``.

Layout: ``image u8[N, H, W, 3]``, ``mask u8[N, H, W]`` (entity index, 0 = background), ``key`` (UTF-8 strings), and
``factors/<name> [N, entities, …]``. Uncompressed data is contiguous and is read through a memory map; compressed
images and masks have one chunk per scene. A split with several shards has the files ``<split>-000000.h5``, …; its
``<split>.h5`` then presents them as one: its columns are links to virtual data sets in the last shard.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iodine_kit.errors import ConfigError, CorruptDataError
from iodine_kit.formats import Columns, Reader, Sample, ShardedConfig, arrays_of
from iodine_kit.formats._joined_hdf5 import join
from iodine_kit.records import Array, Scene, SceneBatch
from iodine_kit.system import OpenFiles, refusal, require_free_space
from iodine_kit.untrusted.hdf5 import JOINED, create_file, joined_shards, require_filters
from iodine_kit.untrusted.hdf5_heaps import read_texts

VERSION = 2
SCHEMA = "iodine-kit/hdf5/2"
BLOCK = 256
"""Scenes per write: one call of HDF5 takes as long as writing a few hundred small scenes."""
BLOCK_BYTES = 32 << 20
PIXELS = ("image", "mask")
_GZIP_LEVEL = 4


class Config(ShardedConfig):
    """How to store.

    Attributes:
        compression: compression of images and masks: ``none`` (contiguous, fastest to train from), ``gzip`` (every HDF5
            reader supports it), or ``blosc`` (as small, three times as fast to read; every reader needs the extra
            ``blosc``).
        scenes_per_shard: number of scenes in every file but the last.
    """

    compression: Literal["none", "gzip", "blosc"] = "none"
    scenes_per_shard: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000


def encode(scene: Scene, config: Config) -> dict[str, bytes]:
    """Encode every column as HDF5 stores it. See :class:`iodine_kit.formats.FormatPlugin`."""
    return {name: _encode(name, value, config) for name, value in arrays_of(scene).items()}


def write_shard(
    directory: Path, split: str, number: int, samples: Iterable[Sample], count: int, columns: Columns, config: Config
) -> Path:
    """Write ``<split>-NNNNNN.h5``."""
    import h5py  # in functions, because a plan or a list of formats loads this module and reads no file

    path, scene_bytes = directory / _shard_name(split, number), sum(_bytes(*column) for column in columns.values())
    if config.compression == "none":
        require_free_space(directory, count * scene_bytes)
    block_size = max(1, min(BLOCK, BLOCK_BYTES // scene_bytes))
    # track_order and track_times are off by default, so the bytes depend on the scenes only.
    with create_file(path) as file:
        file.attrs["schema"] = SCHEMA
        datasets = {name: _create(file, name, count, column, config) for name, column in columns.items()}
        keys = file.create_dataset("key", (count,), h5py.string_dtype())
        stream, row = iter(samples), 0
        while block := list(islice(stream, block_size)):
            keys[row : row + len(block)] = [sample.key for sample in block]
            for name, dataset in datasets.items():
                _write_rows(dataset, row, [sample.parts[name] for sample in block])
            row += len(block)
    return path


def finish(directory: Path, split: str, shards: Sequence[int], config: Config) -> None:
    """Rename a single shard to ``<split>.h5``, or create ``<split>.h5`` as a view of several."""
    names = [_shard_name(split, number) for number in range(len(shards))]
    if len(names) > 1:
        join(directory, split, names, SCHEMA)
    elif (directory / names[0]).exists():
        (directory / names[0]).rename(directory / f"{split}.h5")


def open_split(directory: Path, split: str) -> Hdf5Reader:
    """Open ``<split>.h5``."""
    return Hdf5Reader(directory / f"{split}.h5")


class Hdf5Reader(Reader):
    """Reads a split in this layout, written by this package or another program. Few shards are open at a time."""

    def __init__(self, path: Path) -> None:
        surveys = [_survey(shard) for shard in _shards_of(path)]
        self._shards = [shard for shard, _ in surveys]
        self._keys = [key for _, keys in surveys for key in keys]
        self._starts = np.cumsum([0, *(shard.shapes["image"][0] for shard in self._shards)])
        self._open = OpenFiles(lambda number: _OpenShard(self._shards[number]), _OpenShard.close)
        self._reading = Lock()  # no other thread may close a shard that is read

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> list[str]:
        return list(self._keys)

    def batch(self, indices: Sequence[int] | NDArray[Any]) -> SceneBatch:
        places = np.asarray(indices, np.int64)
        keys = tuple(self._keys[index] for index in places.tolist())
        with self._reading:
            return SceneBatch(keys, *(self._open[0].take(places) if len(self._shards) == 1 else self._gather(places)))

    def scene(self, index: int) -> Scene:
        index = range(len(self))[index]
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        with self._reading:
            return self._open[number].scene(self._keys[index], index - int(self._starts[number]))

    def close(self) -> None:
        with self._reading:
            self._open.close()

    def _gather(self, places: NDArray[np.int64]) -> list[Array]:
        """Images and masks from several shards, in the given order."""
        numbers = np.searchsorted(self._starts, places, side="right") - 1
        gathered = [np.empty((len(places), *self._shards[0].shapes[name][1:]), np.uint8) for name in PIXELS]
        for number in np.unique(numbers).tolist():
            here = numbers == number
            for whole, part in zip(gathered, self._open[number].take(places[here] - self._starts[number]), strict=True):
                whole[here] = part
        return gathered


@dataclass(frozen=True)
class _Shard:
    """What is known of a file of a split while it is closed.

    Attributes:
        shapes: of all columns, whose names are those of the data sets.
        mapped: type, shape and offset of the columns that can be mapped into memory; HDF5 reads the others.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    mapped: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]]


class _OpenShard:
    """The columns of a file: arrays of mapped memory, or data sets of HDF5."""

    def __init__(self, shard: _Shard) -> None:
        self._path = shard.path
        self._file: Any = None
        with _reading(shard.path):
            arrays: dict[str, Any] = _mapped_arrays(shard)
            if len(arrays) < len(shard.shapes):
                import h5py

                self._file = h5py.File(shard.path, "r")
            self._columns = {name: arrays[name] if name in arrays else self._file[name] for name in shard.shapes}

    def take(self, rows: NDArray[np.int64]) -> list[Array]:
        """Images and masks of some rows, as copies."""
        return [self._rows(self._columns[name], rows) for name in PIXELS]

    def scene(self, key: str, row: int) -> Scene:
        """One row, as copies."""
        with _reading(self._path, f"scene {key} "):
            rows = ((name, column[row], isinstance(column, np.ndarray)) for name, column in self._columns.items())
            values = {name: value.copy() if is_mapped else value for name, value, is_mapped in rows}
        image, mask = (values.pop(name) for name in PIXELS)
        return Scene(key, image, mask, {name.removeprefix("factors/"): value for name, value in values.items()})

    def close(self) -> None:
        """Close the file; mapped memory is released with its arrays."""
        self._columns.clear()
        if self._file is not None:
            self._file.close()

    def _rows(self, column: Any, rows: NDArray[np.int64]) -> Array:
        if isinstance(column, np.ndarray):
            return np.asarray(column[rows])
        values = []
        for row in rows.tolist():
            with _reading(self._path, f"row {row} "):
                values.append(column[row])
        return np.stack(values)


def _survey(path: Path) -> tuple[_Shard, list[str]]:
    """What a file contains, and the keys of its scenes; the file is closed again."""
    import h5py

    with _reading(path), h5py.File(path, "r") as file:
        factors = {f"factors/{name}": member for name, member in file.get("factors", {}).items()}
        columns: dict[str, Any] = {**{name: file[name] for name in PIXELS}, **factors}
        keys = read_texts(file["key"], path)
        for name, column in columns.items():
            if column.shape[:1] != (len(keys),):
                raise KeyError(f"{name} and key have different numbers of rows")
            if column.chunks:
                require_filters(column, path)
        mapped = {name: (d.dtype, d.shape, d.id.get_offset()) for name, d in columns.items() if _is_plain(d)}
        end = max((offset + _bytes(dtype, shape) for dtype, shape, offset in mapped.values()), default=0)
        if end > path.stat().st_size:
            raise ValueError(f"it ends before byte {end}")
        return _Shard(path, {name: column.shape for name, column in columns.items()}, mapped), keys


def _is_plain(dataset: Any) -> bool:
    """Whether the numbers of a data set are in the file as they are in memory."""
    return dataset.chunks is None and dataset.dtype.kind in "buif" and dataset.id.get_offset() is not None


def _mapped_arrays(shard: _Shard) -> dict[str, Any]:
    if not shard.mapped:
        return {}
    with shard.path.open("rb") as file:  # one descriptor for all columns: a map has its own copy
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return {
        name: np.frombuffer(content, dtype, prod(shape), offset).reshape(shape)
        for name, (dtype, shape, offset) in shard.mapped.items()
    }


def _shards_of(path: Path) -> list[Path]:
    import h5py

    with _reading(path), h5py.File(path, "r") as file:
        return (joined_shards(file, path) if JOINED in file.attrs else []) or [path]


@contextmanager
def _reading(path: Path, part: str = "") -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, AttributeError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        problem = f"{part}cannot be read" if part else "not a split in the HDF5 layout of iodine-kit"
        raise refusal(error, path) or CorruptDataError(f"{path}: {problem}: {error}") from None


def _encode(name: str, value: Array, config: Config) -> bytes:
    if name not in PIXELS or config.compression == "none":
        return value.tobytes()
    if config.compression == "gzip":
        return zlib.compress(value.tobytes(), _GZIP_LEVEL)
    import h5py

    # Only the library can encode a blosc frame, so write one chunk to a file in memory and read it back.
    with h5py.File("chunk", "w", driver="core", backing_store=False) as file:
        dataset = _create(file, name, 1, (value.dtype.str, value.shape), config)
        dataset[0] = value
        chunk: bytes = dataset.id.read_direct_chunk((0,) * dataset.ndim)[1]
        return chunk


def _write_rows(dataset: Any, row: int, encoded: list[bytes]) -> None:
    if dataset.chunks is None:
        rows = np.frombuffer(b"".join(encoded), dataset.dtype).reshape(len(encoded), *dataset.shape[1:])
        dataset[row : row + len(encoded)] = rows
        return
    for place, chunk in enumerate(encoded, row):
        dataset.id.write_direct_chunk((place, *(0,) * (dataset.ndim - 1)), chunk)


def _create(file: Any, name: str, count: int, column: tuple[str, tuple[int, ...]], config: Config) -> Any:
    dtype, shape = column
    if name not in PIXELS or config.compression == "none":
        return file.create_dataset(name, (count, *shape), dtype)
    filters = {"compression": "gzip", "compression_opts": _GZIP_LEVEL}
    if config.compression == "blosc":
        filters = dict(_plugins().Blosc(cname="zstd", clevel=5, shuffle=0))
    return file.create_dataset(name, (count, *shape), dtype, chunks=(1, *shape), **filters)


def _plugins() -> Any:
    """Import the package that registers blosc with HDF5."""
    try:
        import hdf5plugin
    except ImportError:
        raise ConfigError("blosc needs the package hdf5plugin: pip install 'iodine-kit[blosc]'") from None
    return hdf5plugin


def _bytes(dtype: Any, shape: tuple[int, ...]) -> int:
    return int(np.dtype(dtype).itemsize) * prod(shape)


def _shard_name(split: str, number: int) -> str:
    return f"{split}-{number:06d}.h5"
