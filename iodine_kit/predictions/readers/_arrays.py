"""Arrays in NumPy's ``.npy`` format that stay on disk; what Python would unpickle is refused, never opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.records import Array

MAGIC = b"\x93NUMPY"
_BROKEN = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    OSError,
    RuntimeError,
    SyntaxError,
    TokenError,
)


@dataclass(frozen=True)
class ArrayColumn:
    """A NumPy array, memory-mapped or not."""

    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def rows(self, indices: NDArray[np.int64]) -> Array:
        return np.asarray(self.array[indices])


def mapped(path: Path, place: str) -> ArrayColumn:
    """A ``.npy`` file as a column that stays on disk; ``place`` begins every message.

    Raises:
        CorruptDataError: if it is none, or shorter than its header says.
        SchemaError: if it holds Python objects, or records.
    """
    try:
        with path.open("rb") as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file)
        refuse_objects(dtype, place)
        if 0 in shape:  # nothing can be mapped of it
            return ArrayColumn(np.empty(shape, dtype))
        return ArrayColumn(np.load(path, mmap_mode="r", allow_pickle=False))
    except _BROKEN as error:
        reason = " ".join(str(error).split())
        raise CorruptDataError(f"{place}: truncated, or not an array in NumPy's .npy format: {reason}") from error


def refuse_objects(dtype: np.dtype[Any], place: str) -> None:
    """Raise :class:`SchemaError` unless the values are plain numbers or texts."""
    if dtype.hasobject:
        raise SchemaError(
            f"{place}: an array of Python objects, a pickle, which could run any program, so it is never opened: "
            "save an array of numbers, or of texts of dtype 'U' or 'S'"
        )
    if dtype.kind not in "buifUS":
        raise SchemaError(f"{place}: an array of {dtype}; only numbers and texts can be read")
