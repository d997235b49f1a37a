"""HDF5: one file per split, ``<split>.h5``.

Layout: ``image u8[N, H, W, 3]``, ``mask u8[N, H, W]`` (entity index, 0 = background), ``key`` (UTF-8 strings), and
``factors/<name> [N, entities, …]``. Uncompressed data is contiguous and is read through a memory map; compressed
images and masks have one chunk per scene. A split with several shards has the files ``<split>-000000.h5``, …; its
``<split>.h5`` then presents them as one through virtual data sets.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import islice
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iodine_kit.errors import ConfigError, CorruptDataError
from iodine_kit.formats import Columns, Reader, Sample, ShardedConfig, arrays_of
from iodine_kit.records import Array, Scene, SceneBatch
from iodine_kit.system import require_free_space

VERSION = 2
SCHEMA = "iodine-kit/hdf5/2"
BLOCK = 256
"""Scenes per write: one call of HDF5 takes as long as writing a few hundred small scenes."""
BLOCK_BYTES = 32 << 20
_GZIP_LEVEL = 4
_BLOSC = 32001
"""Number of blosc among the registered filters of HDF5."""
_PIXELS = ("image", "mask")


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
    with h5py.File(path, "w", libver=("v108", "v108")) as file:
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
        _join(directory / f"{split}.h5", names)
    elif (directory / names[0]).exists():
        (directory / names[0]).rename(directory / f"{split}.h5")


def open_split(directory: Path, split: str) -> Hdf5Reader:
    """Open ``<split>.h5``."""
    return Hdf5Reader(directory / f"{split}.h5")


class Hdf5Reader(Reader):
    """Reads a split in this layout, written by :func:`finish` or by another program."""

    def __init__(self, path: Path) -> None:
        self._shards = [_Shard(shard) for shard in _shards_of(path)]
        self._starts = np.cumsum([0, *(len(shard.keys) for shard in self._shards)])
        self._keys = [key for shard in self._shards for key in shard.keys]

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> list[str]:
        return list(self._keys)

    def batch(self, indices: Sequence[int] | NDArray[Any]) -> SceneBatch:
        places = np.asarray(indices, np.int64)
        keys = tuple(self._keys[index] for index in places.tolist())
        if len(self._shards) == 1:
            return SceneBatch(keys, self._shards[0].take("image", places), self._shards[0].take("mask", places))
        return SceneBatch(keys, self._gather("image", places), self._gather("mask", places))

    def scene(self, index: int) -> Scene:
        number, row = self._locate(range(len(self))[index])
        return self._shards[number].scene(row)

    def close(self) -> None:
        for shard in self._shards:
            shard.close()

    def _locate(self, index: int) -> tuple[int, int]:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return number, index - int(self._starts[number])

    def _gather(self, name: str, places: NDArray[np.int64]) -> Array:
        """Rows from several shards, in the given order."""
        numbers = np.searchsorted(self._starts, places, side="right") - 1
        result = np.empty((len(places), *self._shards[0].shape(name)), np.uint8)
        for number in np.unique(numbers):
            here = numbers == number
            result[here] = self._shards[number].take(name, places[here] - self._starts[number])
        return result


class _Shard:
    """One file of a split."""

    def __init__(self, path: Path) -> None:
        import h5py

        self._path = path
        try:
            self._file = h5py.File(path, "r")
            self._rows = {name: _rows(self._file[name], path) for name in _PIXELS}
            self.keys = [key.decode() for key in self._file["key"][:]]
            self._factors: dict[str, Any] = dict(self._file.get("factors", {}).items())
            for name, rows in {**self._rows, **self._factors}.items():
                if rows.shape[:1] != (len(self.keys),):
                    raise KeyError(f"{name} and key have different numbers of rows")
        except (OSError, KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise CorruptDataError(f"{path}: not a split in the HDF5 layout of iodine-kit: {error}") from None

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._rows[name].shape[1:])

    def take(self, name: str, places: NDArray[np.int64]) -> Array:
        rows = self._rows[name]
        if isinstance(rows, np.ndarray):
            return np.asarray(rows[places])
        return np.stack([self._row(rows, int(place)) for place in places])

    def scene(self, row: int) -> Scene:
        image, mask = (np.array(self._row(self._rows[name], row)) for name in _PIXELS)
        factors = {name: self._row(rows, row) for name, rows in self._factors.items()}
        return Scene(self.keys[row], image, mask, factors)

    def close(self) -> None:
        self._file.close()

    def _row(self, rows: Any, row: int) -> Array:
        try:
            values: Array = rows[row]
            return values
        except OSError as error:
            raise CorruptDataError(f"{self._path}: scene {self.keys[row]} cannot be read: {error}") from None


def _encode(name: str, value: Array, config: Config) -> bytes:
    if name not in _PIXELS or config.compression == "none":
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
    if name not in _PIXELS or config.compression == "none":
        return file.create_dataset(name, (count, *shape), dtype)
    filters = {"compression": "gzip", "compression_opts": _GZIP_LEVEL}
    if config.compression == "blosc":
        filters = dict(_plugins().Blosc(cname="zstd", clevel=5, shuffle=0))
    return file.create_dataset(name, (count, *shape), dtype, chunks=(1, *shape), **filters)


def _join(path: Path, names: Sequence[str]) -> None:
    """Write virtual data sets that refer to the shards; every HDF5 reader supports them."""
    import h5py

    with h5py.File(path, "w", libver=("v110", "v110")) as joined:
        joined.attrs["schema"] = SCHEMA
        joined.attrs["shards"] = list(names)
        with h5py.File(path.with_name(names[0]), "r") as first:
            columns = [*_PIXELS, "key", *(f"factors/{name}" for name in first.get("factors", {}))]
        for column in columns:
            _join_column(joined, column, path, names)


def _join_column(joined: Any, column: str, path: Path, names: Sequence[str]) -> None:
    """Write one virtual data set with low-level calls, because those of h5py would store the time."""
    import h5py

    shapes = []
    for name in names:
        with h5py.File(path.with_name(name), "r") as shard:
            shapes.append(shard[column].shape)
            kind = shard[column].id.get_type()
    whole = h5py.h5s.create_simple((sum(shape[0] for shape in shapes), *shapes[0][1:]))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    start = 0
    for name, shape in zip(names, shapes, strict=True):
        part = whole.copy()
        part.select_hyperslab((start, *(0,) * (len(shape) - 1)), shape)
        properties.set_virtual(part, name.encode(), column.encode(), h5py.h5s.create_simple(shape))
        start += shape[0]
    group, _, last = column.rpartition("/")
    parent = joined.require_group(group) if group else joined
    h5py.h5d.create(parent.id, last.encode(), kind, whole, properties)


def _shards_of(path: Path) -> list[Path]:
    """The files with the data of a split, which must be in the same folder."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            names = [str(name) for name in file.attrs.get("shards", ())]
    except OSError as error:
        raise CorruptDataError(f"{path}: not a split in the HDF5 layout of iodine-kit: {error}") from None
    for name in names:
        if Path(name).name != name:
            raise CorruptDataError(f"{path}: its shard '{name}' is not in the same folder")
    return [path.with_name(name) for name in names] or [path]


def _rows(dataset: Any, path: Path) -> Any:
    """An HDF5 data set as an array: mapped into memory if it is contiguous, else read by h5py."""
    offset = dataset.id.get_offset()
    if dataset.chunks is None and offset is not None:
        return np.memmap(path, dataset.dtype, "r", offset, dataset.shape)
    pipeline = dataset.id.get_create_plist()
    if any(pipeline.get_filter(place)[0] == _BLOSC for place in range(pipeline.get_nfilters())):
        _plugins()
    return dataset


def _plugins() -> Any:
    """Import the package that registers blosc with HDF5."""
    try:
        import hdf5plugin
    except ImportError:
        raise ConfigError("blosc needs the package hdf5plugin: pip install 'iodine-kit[blosc]'") from None
    return hdf5plugin


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return np.dtype(dtype).itemsize * prod(shape)


def _shard_name(split: str, number: int) -> str:
    return f"{split}-{number:06d}.h5"
