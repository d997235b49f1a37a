"""HDF5: one file per split, ``<split>.h5``.

Layout: ``image u8[N, H, W, 3]``, ``mask u8[N, H, W]`` (entity index, 0 = background), ``key`` (UTF-8 strings), and
``factors/<name> [N, entities, …]``. Uncompressed data sets are contiguous and are read through a memory map.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from iodine_kit import config as configuration
from iodine_kit.disk import require_space
from iodine_kit.errors import CorruptDataError
from iodine_kit.records import Array, Scene, SceneBatch

VERSION = 1
SCHEMA = "iodine-kit/hdf5/1"
BLOCK = 256
"""Scenes written at a time: every write to HDF5 costs as much as a few hundred small scenes."""


class Config(configuration.Config):
    """How to store.

    Attributes:
        compression: ``none`` (contiguous, fastest to train from) or ``gzip`` (one chunk per scene, read anywhere).
    """

    compression: Literal["none", "gzip"] = "none"


def write(directory: Path, split: str, scenes: Iterable[Scene], count: int, config: Config) -> None:
    """Write ``<split>.h5``. All scenes have the first one's shapes. See :class:`iodine_kit.formats.FormatPlugin`."""
    scenes = iter(scenes)
    first = next(scenes)
    names = ["image", "mask", *(f"factors/{name}" for name in first.factors)]
    columns = {name: _column(first, name) for name in names}
    if config.compression == "none":
        require_space(directory, count * sum(value.nbytes for value in columns.values()))
    # track_order and track_times are off by default: nothing but the scenes decides the bytes.
    with h5py.File(directory / f"{split}.h5", "w", libver=("v108", "v108")) as file:
        file.attrs["schema"] = SCHEMA
        datasets = {name: _create(file, name, value, count, config) for name, value in columns.items()}
        keys = file.create_dataset("key", (count,), h5py.string_dtype())
        stream, row = chain([first], scenes), 0
        while block := list(islice(stream, BLOCK)):
            rows = slice(row, row + len(block))
            keys[rows] = [scene.key for scene in block]
            for name, dataset in datasets.items():
                dataset[rows] = np.stack([_column(scene, name) for scene in block])
            row = rows.stop


def open_split(directory: Path, split: str) -> Hdf5Reader:
    """Open ``<split>.h5``."""
    return Hdf5Reader(directory / f"{split}.h5")


class Hdf5Reader:
    """Reads a split written by :func:`write`, or by anyone in the same layout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
            self._image, self._mask = (_rows(self._file[name], path) for name in ("image", "mask"))
            self._keys = [key.decode() for key in self._file["key"][:]]
            self._factors: dict[str, Any] = dict(self._file.get("factors", {}).items())
            for name, rows in {"image": self._image, "mask": self._mask, **self._factors}.items():
                if rows.shape[:1] != (len(self._keys),):
                    raise KeyError(f"{name} has another number of rows than key")
        except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
            raise CorruptDataError(f"{path}: not a data set in the HDF5 layout of iodine-kit: {error}") from None

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> list[str]:
        return self._keys

    def batch(self, indices: Sequence[int] | NDArray[Any]) -> SceneBatch:
        keys = tuple(self._keys[index] for index in indices)
        return SceneBatch(keys, _take(self._image, indices), _take(self._mask, indices))

    def scene(self, index: int) -> Scene:
        factors = {name: dataset[index] for name, dataset in self._factors.items()}
        return Scene(self._keys[index], np.array(self._image[index]), np.array(self._mask[index]), factors)

    def close(self) -> None:
        self._file.close()


def _column(scene: Scene, name: str) -> Array:
    """What a scene puts into the data set called ``name``."""
    if name == "image":
        return scene.image
    return scene.mask if name == "mask" else scene.factors[name.removeprefix("factors/")]


def _create(file: Any, name: str, example: Array, count: int, config: Config) -> Any:
    shape = (count, *example.shape)
    if config.compression == "gzip":
        return file.create_dataset(name, shape, example.dtype, chunks=(1, *example.shape), compression="gzip")
    return file.create_dataset(name, shape, example.dtype)


def _rows(dataset: Any, path: Path) -> Any:
    """The data set as an array: mapped into memory where its bytes lie in one piece, else as h5py gives it."""
    offset = dataset.id.get_offset()
    if dataset.chunks is not None or offset is None:
        return dataset
    return np.memmap(path, dataset.dtype, "r", offset, dataset.shape)


def _take(rows: Any, indices: Sequence[int] | NDArray[Any]) -> Array:
    if isinstance(rows, np.ndarray):
        return np.asarray(rows[np.asarray(indices, np.int64)])
    return np.stack([rows[int(index)] for index in indices])
