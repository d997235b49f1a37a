"""Readers for files of unknown origin. Each format's guards are written once, for everything that reads the format.

A file may be damaged, or made to do harm. No module of this package unpickles, follows a link or a path out of a file,
or allocates memory because a header says so.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from tokenize import TokenError
from zipfile import BadZipFile

from iodine_kit.errors import SchemaError

LARGEST_ROW = 1 << 30
"""Bytes of one row (one scene) at most, far above those of any published file."""

ZIP_ERRORS = (
    BadZipFile,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What :mod:`zipfile` raises for an archive that is damaged, encrypted, or compressed in an unknown way."""
NPZ_ERRORS = (*ZIP_ERRORS, ArithmeticError, SyntaxError, TokenError, TypeError)
"""What NumPy raises for a damaged ``.npz`` file or ``.npy`` header: it parses the header as an expression of Python."""


def check_row_size(shape: Sequence[int], item_bytes: int, place: str, chunk: Sequence[int] = ()) -> None:
    """Raise :class:`SchemaError` if a row along the first axis, or a stored chunk, exceeds :data:`LARGEST_ROW`."""
    if item_bytes * max(math.prod(shape[1:]), math.prod(chunk)) > LARGEST_ROW:
        raise SchemaError(f"{place}: one row takes more than {LARGEST_ROW >> 30} GiB")
