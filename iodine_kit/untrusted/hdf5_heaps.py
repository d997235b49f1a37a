"""Global heaps of HDF5 files, which hold texts. The HDF5 library loops for ever on a damaged one: check it first.

Source: "Disk Format: Level 1E - Global Heap" of the HDF5 File Format Specification.
"""

from __future__ import annotations

import mmap
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit.errors import CorruptDataError

_HEAP = b"GCOL\x01\x00\x00\x00"
_HEAP_HEADER = 16
_HEAP_OBJECT = struct.Struct("<HHIQ")
_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
_NOWHERE = (1 << 64) - 1


def check_all_heaps(path: Path) -> None:
    """Check all global heaps of a file, once per process.

    Raises:
        CorruptDataError: an object of a heap reaches beyond the heap, or is empty.
    """
    status = path.stat()
    _check_heaps(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _check_heaps(path: Path, modified: int, size: int) -> None:
    if not size:
        return  # cannot be mapped; h5py refuses it
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            _check_heap(content, start, path)
            start = content.find(_HEAP, start + 1)


def read_texts(dataset: Any, path: Path) -> list[str]:
    """The texts of an open data set, after a check of the heaps that hold them.

    Raises:
        CorruptDataError: a heap is damaged, or the data set leads to no heap.
        Exception: what h5py raises for other damage.
    """
    _check_heaps_of(dataset, path)
    return [text.decode() for text in dataset[:]]


def _check_heaps_of(dataset: Any, path: Path) -> None:
    """Check only the heaps that hold these texts; those of the whole file where that is unknown."""
    sizes = dataset.file.id.get_create_plist().get_sizes()
    offset, count = dataset.id.get_offset(), dataset.size
    if not count or not dataset.dtype.hasobject:
        return
    if offset is None or sizes != (8, 8):  # in chunks, not written, or written with other sizes of addresses
        check_all_heaps(path)
        return
    base = dataset.file.userblock_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if offset + count * _REFERENCE.itemsize > len(content):
            raise _damaged_heap(path)
        references = np.frombuffer(content[offset : offset + count * _REFERENCE.itemsize], _REFERENCE)
        for address in np.unique(references["address"]).tolist():
            if address not in (0, _NOWHERE):  # empty texts
                if content[base + address : base + address + len(_HEAP)] != _HEAP:
                    raise _damaged_heap(path)
                _check_heap(content, base + address, path)


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
