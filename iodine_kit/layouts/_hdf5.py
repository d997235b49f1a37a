"""What the layouts of HDF5 files share: which file is read, and its data sets of numbers as rows of scenes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.records import Array
from iodine_kit.system import storage_errors
from iodine_kit.untrusted import hdf5
from iodine_kit.untrusted.folders import any_below, files_below, files_in

Columns = Mapping[str, Any]
"""Data sets by name, one row per scene."""

_PATTERN = "*.h*5"
_CACHE_BYTES = 32 << 20  # for each data set, so that a chunk of many rows is not inflated again for every row


def recognised(path: Path, test: Callable[[Path], bool]) -> bool:
    """Whether a file, or one in a folder, passes a test; a file that is damaged or has other content does not."""
    try:
        files = files_in(path, _PATTERN) or hdf5_files([path]) if path.is_dir() else [path]
    except SourceError:
        return False
    return any(any_below(file, _PATTERN, test) for file in files)


def is_broken(path: Path) -> bool:
    """Whether a file begins as an HDF5 file and cannot be opened."""
    if not path.is_file():
        return False
    with storage_errors(path), path.open("rb") as file:
        if file.read(len(hdf5.MAGIC)) != hdf5.MAGIC:
            return False
    try:
        names(path)
    except (CorruptDataError, SchemaError):
        return True
    return False


def hdf5_files(paths: Sequence[Path]) -> list[Path]:
    """Each given file, and of each folder the only HDF5 file in it, as every file is a data set of its own.

    A file of iodine-kit that joins shards means these.

    Raises:
        SourceError: a path does not exist, a folder has no HDF5 file or several, or a shard is missing.
        CorruptDataError: a file cannot be read.
    """
    found = list[Path]()
    for path in paths:
        inside = files_below([path], _PATTERN)
        if len(inside) > 1:
            raise SourceError(f"{path}: holds {len(inside)} HDF5 files; give one of them, such as {inside[0]}")
        for file in inside:
            found += _shards(file)
    return found


def _shards(path: Path) -> list[Path]:
    _kept.cache_clear()
    with hdf5.reading(str(path)), hdf5.open_file(path) as file:
        return hdf5.joined_shards(file, path) or [path]


def names(path: Path, group: str = "") -> list[str]:
    """Names of the members of a group.

    Raises:
        CorruptDataError: the file cannot be read.
        SchemaError: the group is a link, or not a group.
    """
    _kept.cache_clear()
    with hdf5.reading(str(path)), hdf5.open_file(path) as file:
        return list(hdf5.open_group(file, group, path))


def shapes(path: Path, required: Collection[str], group: str = "") -> dict[str, tuple[int, ...]]:
    """Shapes of the data sets in a group; those in ``required`` exist and have one row per scene.

    The file is closed again, so that a process that only counts rows leaves no open file to those it starts.

    Raises:
        CorruptDataError: the file cannot be read.
        SchemaError: a data set is missing, holds no numbers, or has another number of rows.
    """
    # HDF5 takes a file for the one that is already open even if it was altered, so none is kept open.
    _kept.cache_clear()
    with hdf5.reading(str(path)), hdf5.open_file(path) as file:
        found = {name: tuple(column.shape) for name, column in _columns(file, group, path).items()}
    for name in required:
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            missing = f"{group}/{name}".lstrip("/")
            raise SchemaError(f"{path}: has no data set of numbers with the name '{missing}'; it has: {known}")
    if len({found[name][:1] for name in required}) != 1:
        counts = ", ".join(f"{name} {list(found[name])}" for name in required)
        raise SchemaError(f"{path}: data sets have different numbers of rows: {counts}")
    return found


def columns(path: Path, group: str = "") -> Columns:
    """The data sets of numbers in a group, kept open by this process for the rows that follow.

    Raises:
        CorruptDataError: the file cannot be read.
        SchemaError: a member of the group is a link, or its data are outside of the file.
    """
    with hdf5.reading(str(path)):
        status = path.stat()
        # The process is part of the key: HDF5 must not share an open file with a process forked from it.
        return _kept(path, group, status.st_mtime_ns, status.st_size, os.getpid())


def entity_factors(
    table: Columns, row: int, rows: int, entities: int, exclude: Collection[str] = ()
) -> dict[str, Array]:
    """One row of every data set ``[rows, entities, …]``; a last axis of length 1 is dropped, visibility is float32."""
    found = {}
    for name, column in table.items():
        if name not in exclude and column.shape[:2] == (rows, entities):
            value = np.asarray(column[row])
            value = value[..., 0] if value.ndim > 1 and value.shape[-1] == 1 else value
            found[name] = value.astype(np.float32) if name == "visibility" else value
    return found


@lru_cache(maxsize=2)
def _kept(path: Path, group: str, modified: int, size: int, process: int) -> Columns:
    # Its heaps were checked by `shapes`, which lists the rows; workers need not read the whole file again.
    file = hdf5.open_file(path, rdcc_nbytes=_CACHE_BYTES, rdcc_nslots=10_007)
    return _columns(file, group, path, check_heaps=False)


def _columns(file: Any, group: str, path: Path, *, check_heaps: bool = True) -> dict[str, Any]:
    """The data sets of numbers in a group, and in a group ``factors`` within it."""
    import h5py  # in functions, because a list of layouts loads this module and reads no file

    parent = hdf5.open_group(file, group, path)
    opened = partial(hdf5.open_member, path=path, check_heaps=check_heaps)
    members = {name: opened(parent, name) for name in parent}
    factors = members.get("factors")
    if isinstance(factors, h5py.Group):
        members = {name: opened(factors, name) for name in factors} | members
    return {name: hdf5.own_data(member, path) for name, member in members.items() if _has_numbers(member)}


def _has_numbers(member: Any) -> bool:
    import h5py

    return isinstance(member, h5py.Dataset) and member.dtype.kind in "buif" and member.ndim > 0
