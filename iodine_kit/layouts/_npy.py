"""NumPy's ``.npy`` from strangers: arrays of numbers only. What Python would unpickle is refused, never opened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.records import Array

HEADER = 10_240
"""Bytes that are enough for any header that NumPy accepts."""

_VERSIONS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_PICKLE = b"\x80"


@dataclass(frozen=True)
class Header:
    """What stands before the numbers: their shape, type and order (C: the last axis runs fastest), their offset."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def end(self) -> int:
        """Length of the whole array in bytes, header included."""
        return self.offset + self.count * self.dtype.itemsize


def read_header(stream: BinaryIO, place: str) -> Header:
    """Read the header of a ``.npy`` file that starts where the stream stands.

    Raises:
        CorruptDataError: if it is none.
        SchemaError: if it announces a pickle, or anything else but numbers.
    """
    start = stream.tell()
    if stream.read(1) == _PICKLE:
        raise _pickled(place)
    stream.seek(start)
    try:
        shape, fortran, dtype = _VERSIONS[npy.read_magic(stream)](stream)
    except (ValueError, TypeError, KeyError, RuntimeError, TokenError) as error:
        raise CorruptDataError(f"{place}: not an array in NumPy's .npy format: {error}") from None
    if dtype.hasobject:
        raise _pickled(place)
    if dtype.kind not in "buif" or any(length < 0 for length in shape):
        raise SchemaError(f"{place}: an array of {dtype}{list(shape)}, not of numbers")
    return Header(shape, dtype, "F" if fortran else "C", stream.tell() - start)


def file_header(path: Path) -> Header:
    """The header of a ``.npy`` file; see :func:`read_header`."""
    try:
        with path.open("rb") as file:
            return read_header(file, str(path))
    except OSError as error:
        raise CorruptDataError(f"{path}: cannot be read: {error}") from None


def mapped(path: Path) -> Array:
    """A ``.npy`` file as an array that stays on disk, kept open by this process for the rows to come.

    Raises:
        CorruptDataError: if it is none, or shorter than its header says.
        SchemaError: if it announces a pickle, or anything else but numbers.
    """
    try:
        status = path.stat()
        return _mapped(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError) as error:
        raise CorruptDataError(f"{path}: cannot be read: {error}") from None


@lru_cache(maxsize=8)
def _mapped(path: Path, modified: int, size: int) -> Array:
    header = file_header(path)
    rows: Array = np.memmap(path, header.dtype, "r", header.offset, header.shape, header.order)
    return rows


def _pickled(place: str) -> SchemaError:
    return SchemaError(f"{place} holds a pickle, which could run any program; it is never opened")
