"""HDF5's global heaps, in which texts of any length lie. The HDF5 library reads a damaged one without end.

Layout: "Disk Format: Level 1E - Global Heap" of the HDF5 File Format Specification.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from iodine_kit.errors import CorruptDataError

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_HEADER = 16
_OBJECT = struct.Struct("<HHIQ")


def check_heaps(path: Path) -> None:
    """Walk through every global heap of a file; raises :class:`CorruptDataError` if an object of one leaves it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_SIGNATURE)
        while start >= 0:
            _walk(content, start, path)
            start = content.find(_SIGNATURE, start + 1)


def _walk(content: mmap.mmap, start: int, path: Path) -> None:
    if start + _HEADER > len(content):
        raise _damaged(path)
    end = start + struct.unpack_from("<Q", content, start + 8)[0]
    place = start + _HEADER
    if not place <= end <= len(content):
        raise _damaged(path)
    while place + _OBJECT.size <= end:
        index, _, _, size = _OBJECT.unpack_from(content, place)
        # Object 0 is free space, and its size includes its header; all others are filled up to 8 bytes.
        step = size if index == 0 else _OBJECT.size + -(-size // 8) * 8
        if not _OBJECT.size <= step <= end - place:
            raise _damaged(path)
        place += step


def _damaged(path: Path) -> CorruptDataError:
    return CorruptDataError(f"{path}: truncated or altered: its heap of texts is damaged; write the file again")
