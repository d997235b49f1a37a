"""NumPy's ``.npy`` files of unknown origin: arrays of numbers, and of texts where asked. Pickles are never opened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError
from iodine_kit.records import Array
from iodine_kit.system import refusal
from iodine_kit.untrusted import NPZ_ERRORS, check_row_size

PARSING = Lock()
"""Held while NumPy parses a header, as an expression of Python: some versions of Python end in a SystemError if two
threads parse at the same time ("AST constructor recursion depth mismatch")."""
MAGIC = b"\x93NUMPY"
PICKLE = b"\x80"
"""First byte of a pickle of protocol 2 or later."""
HEADER_BYTES = 10_240
"""Enough for any header that NumPy accepts."""

# Version 3 differs from 2 only in the names of a record's fields, and records are refused.
_VERSIONS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
    (3, 0): npy.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What precedes the numbers: shape, type, order (C: the last axis varies fastest) and length in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def end(self) -> int:
        """Bytes of the whole array, header included."""
        return self.offset + self.count * self.dtype.itemsize


def read_header(stream: BinaryIO, place: str, texts: bool = False) -> Header:
    """Read the header of a ``.npy`` file that starts at the stream's position.

    Args:
        stream: can seek.
        place: begins every error message.
        texts: whether arrays of texts (dtype ``U`` or ``S``) are accepted as well.

    Raises:
        CorruptDataError: it is not such a header.
        StorageError: the operating system refuses to read it.
        SchemaError: it announces a pickle, or something other than numbers (and texts).
    """
    start = stream.tell()
    if stream.read(1) == PICKLE:
        raise pickle_refused(place)
    stream.seek(start)
    try:
        with PARSING:
            shape, fortran, dtype = _VERSIONS[npy.read_magic(stream)](stream)
    except NPZ_ERRORS as error:
        raise _broken(place, error) from None
    if dtype.hasobject:
        raise pickle_refused(place)
    if dtype.kind not in ("buifUS" if texts else "buif") or any(length < 0 for length in shape):
        wanted = "numbers or texts" if texts else "numbers"
        raise SchemaError(f"{place}: an array of {dtype}{list(shape)}, not of {wanted}")
    return Header(shape, dtype, "F" if fortran else "C", stream.tell() - start)


def file_header(path: Path, place: str = "", texts: bool = False) -> Header:
    """The header of a ``.npy`` file; see :func:`read_header`. ``place`` defaults to the path."""
    try:
        with path.open("rb") as file:
            return read_header(file, place or str(path), texts)
    except OSError as error:
        raise _broken(place or str(path), error) from None


def map_array(path: Path, place: str = "", texts: bool = False) -> Array:
    """A ``.npy`` file as a read-only array that stays on disk. ``place`` defaults to the path.

    Raises:
        CorruptDataError: it is not such a file, or shorter than its header says.
        StorageError: the operating system refuses to read it.
        SchemaError: it announces a pickle, something other than numbers (and texts), or rows of more than 1 GiB.
    """
    place = place or str(path)
    header = file_header(path, place, texts)
    check_row_size(header.shape, header.dtype.itemsize, place)
    try:
        if (size := path.stat().st_size) < header.end:
            raise CorruptDataError(f"{place}: truncated: it has {size} of {header.end} bytes; replace the file")
        if not header.count:  # an empty array cannot be mapped
            return np.empty(header.shape, header.dtype)
        return np.memmap(path, header.dtype, "r", header.offset, header.shape, header.order)
    except NPZ_ERRORS as error:
        raise _broken(place, error) from None


def pickle_refused(place: str) -> SchemaError:
    """The error for a file, or a part of one, that holds a pickle."""
    return SchemaError(
        f"{place} holds a pickle (Python objects), which could run any program, so it is never opened: "
        "save arrays of plain numbers or texts"
    )


def _broken(place: str, error: Exception) -> IodineKitError:
    problem = f"truncated, or not an array in NumPy's .npy format: {' '.join(str(error).split())}"
    return refusal(error, place) or CorruptDataError(f"{place}: {problem}")
