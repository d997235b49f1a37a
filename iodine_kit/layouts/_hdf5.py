"""HDF5 from strangers: numbers that lie in the file itself, a row at a time. Links and paths are never followed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError, SourceError
from iodine_kit.layouts._files import files_below
from iodine_kit.records import Array

Columns = Mapping[str, Any]
"""Data sets by name, one row per scene."""

_PATTERN = "*.h*5"
_MAGIC = b"\x89HDF\r\n\x1a\n"
_ERRORS = (OSError, KeyError, IndexError, RuntimeError, TypeError, ValueError)
_CACHE = 32 << 20  # bytes for each data set, lest a chunk of many rows be inflated again for every row
_LARGEST = 1 << 30  # bytes of a row or a chunk; far above those of any published file


def recognised(path: Path, test: Callable[[Path], bool]) -> bool:
    """Whether a file, or one in a folder, passes a test that may raise what this module raises."""
    return any(_passes(file, test) for file in (sorted(path.glob(_PATTERN)) if path.is_dir() else [path]))


def is_broken(path: Path) -> bool:
    """Whether a file says that it is HDF5 and cannot be opened."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return False
        return not _passes(path, lambda whole: names(whole) is not None)
    except OSError:
        return False


def hdf5_files(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given; of a folder the only one that it has, as each is a data set of its own.

    Raises:
        SourceError: if a path does not exist, or a folder has no HDF5 file or several.
    """
    found = []
    for path in paths:
        inside = files_below([path], _PATTERN)
        if len(inside) > 1:
            raise SourceError(
                f"{path}: holds {len(inside)} HDF5 files; give the one that you mean, such as {inside[0]}"
            )
        found += inside
    return found


def names(path: Path, group: str = "") -> list[str]:
    """Names of what is in a group of a file.

    Raises:
        CorruptDataError: if it cannot be read.
        SchemaError: if the group is behind a link.
    """
    with _opened(path) as file:
        return list(_group(file, group, path))


def shapes(path: Path, required: Collection[str], group: str = "") -> dict[str, tuple[int, ...]]:
    """Shapes of the data sets in a group; those ``required`` are there and have one row per scene.

    Raises:
        CorruptDataError: if the file cannot be read.
        SchemaError: if a data set is missing, not of numbers, or has another number of rows.
    """
    with _opened(path) as file:
        found = {name: tuple(column.shape) for name, column in _columns(_group(file, group, path), path).items()}
    for name in required:
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise SchemaError(
                f"{path}: no data set of numbers is called '{f'{group}/{name}'.lstrip('/')}'; there are: {known}"
            )
    if len({found[name][:1] for name in required}) != 1:
        counts = ", ".join(f"{name} {list(found[name])}" for name in required)
        raise SchemaError(f"{path}: data sets have different numbers of rows: {counts}")
    return found


def columns(path: Path, group: str = "") -> Columns:
    """The data sets of numbers in a group, kept open by this process for the rows to come.

    Raises:
        CorruptDataError: if the file cannot be read.
        SchemaError: if something in the group is a link, or data lie outside the file.
    """
    with reading(str(path)):
        status = path.stat()
        # The process is part of the key: HDF5 must not share an open file with a process forked from it.
        return _kept(path, group, status.st_mtime_ns, status.st_size, os.getpid())


def entity_factors(table: Columns, row: int, rows: int, entities: int, but: Collection[str] = ()) -> dict[str, Array]:
    """One row of every data set ``[rows, entities, …]``; a last axis of length 1 is left out, visibility is float32."""
    found = {}
    for name, column in table.items():
        if name not in but and column.shape[:2] == (rows, entities):
            value = np.asarray(column[row])
            value = value[..., 0] if value.ndim > 1 and value.shape[-1] == 1 else value
            found[name] = value.astype(np.float32) if name == "visibility" else value
    return found


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn what h5py raises for a damaged file into an error that names the place."""
    try:
        yield
    except _ERRORS as error:
        raise CorruptDataError(f"{place}: cannot be read as HDF5: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file that is closed again, so that a process that only counts rows hands no open file to those it starts."""
    # HDF5 takes a file for the one that is already open even if it was altered, so none is kept beyond this.
    _kept.cache_clear()
    with reading(str(path)), h5py.File(path, "r") as file:
        yield file


@lru_cache(maxsize=2)
def _kept(path: Path, group: str, modified: int, size: int, process: int) -> Columns:
    return _columns(_group(h5py.File(path, "r", rdcc_nbytes=_CACHE, rdcc_nslots=10_007), group, path), path)


def _group(file: Any, group: str, path: Path) -> Any:
    for name in filter(None, group.split("/")):
        file = _follow(file, name, path)
    if not isinstance(file, h5py.Group):
        raise SchemaError(f"{path}: '{group}' is no group")
    return file


def _columns(group: Any, path: Path) -> dict[str, Any]:
    """The data sets of numbers in a group; those in a group ``factors`` of its own are as good as beside it."""
    members = {name: _follow(group, name, path) for name in group}
    factors = members.get("factors")
    if isinstance(factors, h5py.Group):
        members = {name: _follow(factors, name, path) for name in factors} | members
    return {name: _inside(member, path) for name, member in members.items() if _has_numbers(member)}


def _follow(group: Any, name: str | bytes, path: Path) -> Any:
    """What is called ``name`` in a group, if it is the thing itself; asking for a link's type does not follow it."""
    if isinstance(name, bytes):
        raise CorruptDataError(f"{path}: the name {name!r} is no text; fetch the file again")
    if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise SchemaError(f"{path}: '{name}' is a link to another place, which is not followed; give the file itself")
    return group[name]


def _has_numbers(member: Any) -> bool:
    return isinstance(member, h5py.Dataset) and member.dtype.kind in "buif" and member.ndim > 0


def _inside(dataset: Any, path: Path) -> Any:
    """The data set, if its numbers lie in this file and a row of them fits into memory."""
    if dataset.is_virtual or dataset.external:
        raise SchemaError(f"{path}: the data of '{dataset.name}' lie in other files, which are not opened")
    if dataset.dtype.itemsize * max(math.prod(dataset.shape[1:]), math.prod(dataset.chunks or ())) > _LARGEST:
        raise SchemaError(f"{path}: a row of '{dataset.name}' takes more than {_LARGEST >> 30} GiB")
    return dataset


def _passes(file: Path, test: Callable[[Path], bool]) -> bool:
    try:
        return test(file)
    except IodineKitError:
        return False
