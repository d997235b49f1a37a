"""An HDF5 file: data sets by name, those of groups as ``group/name``, read in slices. Links are not followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.predictions.readers import Column
from iodine_kit.predictions.readers._heaps import check_heaps
from iodine_kit.records import Array

VERSION = 1
_MAGIC = b"\x89HDF\r\n\x1a\n"
_DEPTH = 8
_ERRORS = (OSError, LookupError, AttributeError, RuntimeError, TypeError, ValueError)  # a name that is no text, say


def recognises(path: Path, head: bytes) -> bool:
    """By its first bytes."""
    return head.startswith(_MAGIC)


def files(path: Path) -> list[Path]:
    """The file itself."""
    return [path]


def columns(path: Path) -> Mapping[str, Column]:
    """Its data sets of numbers and texts.

    Raises:
        CorruptDataError: if it cannot be opened, or its groups cannot be listed.
        SchemaError: if it has no data set, or its data lie in other files.
    """
    try:
        found = dict(_inside(h5py.File(path, "r"), "", path, _DEPTH))
    except _ERRORS as error:
        raise CorruptDataError(f"{path}: truncated, or cannot be read as HDF5: {error}") from error
    if not found:
        raise SchemaError(f"{path}: this HDF5 file has no data set of numbers in it")
    return found


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
        if self.dataset.dtype.hasobject:
            check_heaps(self.path)
        try:
            if not len(indices):
                return np.asarray(self.dataset[:0])
            first, last = int(indices.min()), int(indices.max()) + 1
            if last - first == len(indices):  # one slice, put in order afterwards
                return np.asarray(self.dataset[first:last])[indices - first]
            return np.stack([np.asarray(self.dataset[int(index)]) for index in indices])
        except _ERRORS as error:
            raise CorruptDataError(f"{self.path}: {self.name} cannot be read: {error}; write the file again") from error


def _inside(group: Any, prefix: str, path: Path, depth: int) -> Iterator[tuple[str, Column]]:
    for name in group:
        if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            continue  # leads elsewhere, perhaps out of the file
        member, place = group[name], f"{prefix}{name}"
        if isinstance(member, h5py.Group) and depth:
            yield from _inside(member, f"{place}/", path, depth - 1)
        elif isinstance(member, h5py.Dataset) and member.ndim and _is_plain(member):
            _refuse_elsewhere(member, path)
            yield place, _Column(member, path, place)


def _is_plain(dataset: Any) -> bool:
    return dataset.dtype.kind in "buif" or h5py.check_string_dtype(dataset.dtype) is not None


def _refuse_elsewhere(dataset: Any, path: Path) -> None:
    if dataset.is_virtual or dataset.external:
        raise SchemaError(f"{path}: the data of '{dataset.name}' lie in other files, which are not opened")
