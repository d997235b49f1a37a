"""An HDF5 file: data sets by name, those of groups as ``group/name``, read in slices. Links are ignored.

Of a file of iodine-kit that joins shards, the shards are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError
from iodine_kit.predictions.readers import Column
from iodine_kit.records import Array
from iodine_kit.untrusted import hdf5

VERSION = 1
_DEPTH = 8


def recognises(path: Path, head: bytes) -> bool:
    """By its first bytes."""
    return head.startswith(hdf5.MAGIC)


def files(path: Path) -> list[Path]:
    """The file itself, and the shards that it joins."""
    return [path, *_shards(path)]


def columns(path: Path) -> Mapping[str, Column]:
    """Its data sets of numbers and texts.

    Raises:
        CorruptDataError: it cannot be opened, or its groups cannot be listed.
        SourceError: it joins shards, of which one is missing.
        StorageError: the system refuses to read it, or a filter is missing.
        SchemaError: it has no data set, its data are in other files, or a row takes more than 1 GiB.
    """
    parts = [_columns(file) for file in _shards(path) or [path]]
    if len(parts) == 1:
        return parts[0]
    return {name: _Joined([part[name] for part in parts]) for name in parts[0] if all(name in part for part in parts)}


def _columns(path: Path) -> Mapping[str, Column]:
    with hdf5.reading(str(path)):
        found = dict(_inside(hdf5.open_file(path), "", path, _DEPTH))
    if not found:
        raise SchemaError(f"{path}: this HDF5 file has no data set of numbers")
    return found


def _shards(path: Path) -> list[Path]:
    with hdf5.reading(str(path)), hdf5.open_file(path) as file:
        return hdf5.joined_shards(file, path)


@dataclass(frozen=True)
class _Column:
    dataset: Any
    path: Path
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dataset.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype("S1") if h5py.check_string_dtype(self.dataset.dtype) else np.dtype(self.dataset.dtype)

    def rows(self, indices: NDArray[np.int64]) -> Array:
        with hdf5.reading(f"{self.path}: {self.name}"):
            if not len(indices):
                return np.asarray(self.dataset[:0])
            first, last = int(indices.min()), int(indices.max()) + 1
            if last - first == len(indices):  # one slice, put in order afterwards
                return np.asarray(self.dataset[first:last])[indices - first]
            return np.stack([np.asarray(self.dataset[int(index)]) for index in indices])


@dataclass(frozen=True)
class _Joined:
    """The rows of a column in several files, one after the other."""

    parts: Sequence[Column]

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    def rows(self, indices: NDArray[np.int64]) -> Array:
        starts = np.cumsum([0, *(part.shape[0] for part in self.parts)])
        numbers = np.searchsorted(starts, indices, side="right") - 1
        used = np.unique(numbers).tolist() or [0]
        read = np.concatenate([self.parts[one].rows(indices[numbers == one] - starts[one]) for one in used])
        order = np.argsort(numbers, kind="stable")  # the places that the rows of `read` have in `indices`
        result = np.empty_like(read)
        result[order] = read
        return result


def _inside(group: Any, prefix: str, path: Path, depth: int) -> Iterator[tuple[str, Column]]:
    for name in group:
        if hdf5.is_link(group, name, path) or hdf5.is_view(group, name):
            continue
        member, place = hdf5.open_member(group, name, path), f"{prefix}{name}"
        if isinstance(member, h5py.Group) and depth:
            yield from _inside(member, f"{place}/", path, depth - 1)
        elif isinstance(member, h5py.Dataset) and member.ndim and _is_plain(member):
            yield place, _Column(hdf5.own_data(member, path), path, place)


def _is_plain(dataset: Any) -> bool:
    return dataset.dtype.kind in "buif" or h5py.check_string_dtype(dataset.dtype) is not None
