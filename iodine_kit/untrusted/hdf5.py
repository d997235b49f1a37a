"""HDF5 files of unknown origin: data that are in the file itself. Links and paths are never followed.

Open every file with :func:`open_file`, every group with :func:`open_group` and every other member with
:func:`open_member`. Pass every data set through :func:`own_data` before reading it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.untrusted import check_row_size

MAGIC = b"\x89HDF\r\n\x1a\n"

# What h5py raises for a damaged file; AttributeError for a name that is not text.
_ERRORS = (OSError, LookupError, AttributeError, RuntimeError, TypeError, ValueError)
_HEAP = b"GCOL\x01\x00\x00\x00"
_HEAP_HEADER = 16
_HEAP_OBJECT = struct.Struct("<HHIQ")


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn what h5py raises for a damaged file into a :class:`CorruptDataError` that names the place."""
    try:
        yield
    except _ERRORS as error:
        raise CorruptDataError(f"{place}: truncated, or cannot be read as HDF5: {error}") from error


def open_file(path: Path, *, check_heaps: bool = True, **options: int) -> Any:
    """Open a file for reading, after checking its global heaps.

    The HDF5 library loops for ever on a damaged heap. It reads heaps for texts of variable length, and already to
    open a virtual data set.

    Args:
        path: the file.
        check_heaps: may be false if only names and groups are used, or if this file was checked before; the check
            reads the whole file, once per process.
        options: passed to ``h5py.File``.

    Raises:
        CorruptDataError: it cannot be opened, or a global heap is damaged.
    """
    with reading(str(path)):
        if check_heaps:
            status = path.stat()
            _check_heaps(path, status.st_mtime_ns, status.st_size)
        return h5py.File(path, "r", **options)


def open_group(file: Any, group: str, path: Path) -> Any:
    """The group with the name ``a/b/c``, or the file itself if the name is empty; no data set is opened.

    Raises:
        CorruptDataError: a name is not text.
        SchemaError: a part of the name is a link or not a group.
    """
    for name in filter(None, group.split("/")):
        if is_link(file, name, path):
            raise _refused_link(name, path)
        try:
            file = h5py.Group(h5py.h5g.open(file.id, name.encode()))
        except ValueError as error:
            raise SchemaError(f"{path}: '{group}' is not a group") from error
    return file


def is_link(group: Any, name: str | bytes, path: Path) -> bool:
    """Whether a member of a group is a soft or external link; the link is not followed.

    Raises:
        CorruptDataError: the name is not text.
    """
    if isinstance(name, bytes):
        raise CorruptDataError(f"{path}: the name {name!r} is not text; replace the file")
    return bool(group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD)


def open_member(group: Any, name: str | bytes, path: Path) -> Any:
    """A member of a group.

    Raises:
        CorruptDataError: the name is not text.
        SchemaError: it is a link.
    """
    if is_link(group, name, path):
        raise _refused_link(str(name), path)
    return group[name]


def own_data(dataset: Any, path: Path) -> Any:
    """The data set itself.

    Raises:
        SchemaError: its data are in other files, or one row or chunk takes more than 1 GiB.
    """
    if dataset.is_virtual or dataset.external:
        raise SchemaError(f"{path}: the data of '{dataset.name}' are in other files, which are not opened")
    check_row_size(dataset.shape, dataset.dtype.itemsize, f"{path}: '{dataset.name}'", dataset.chunks or ())
    return dataset


def _refused_link(name: str, path: Path) -> SchemaError:
    return SchemaError(f"{path}: '{name}' is a link, and links are not followed; give a file that holds the data")


@lru_cache(maxsize=16)
def _check_heaps(path: Path, modified: int, size: int) -> None:
    """Raise :class:`CorruptDataError` if an object of a global heap reaches beyond the heap, or is empty.

    Source: "Disk Format: Level 1E - Global Heap" of the HDF5 File Format Specification.
    """
    if not size:
        return  # cannot be mapped; h5py refuses it
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            _check_heap(content, start, path)
            start = content.find(_HEAP, start + 1)


def _check_heap(content: mmap.mmap, start: int, path: Path) -> None:
    if start + _HEAP_HEADER > len(content):
        raise _damaged_heap(path)
    end = start + struct.unpack_from("<Q", content, start + 8)[0]
    at = start + _HEAP_HEADER
    if not at <= end <= len(content):
        raise _damaged_heap(path)
    while at + _HEAP_OBJECT.size <= end:
        index, _, _, size = _HEAP_OBJECT.unpack_from(content, at)
        # Object 0 is free space, and its size includes its header; all others are padded to 8 bytes.
        step = size if index == 0 else _HEAP_OBJECT.size + -(-size // 8) * 8
        if not _HEAP_OBJECT.size <= step <= end - at:
            raise _damaged_heap(path)
        at += step


def _damaged_heap(path: Path) -> CorruptDataError:
    return CorruptDataError(f"{path}: truncated or altered: its global heap is damaged; replace the file")
