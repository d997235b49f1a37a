"""Readers of third-party predictions: each module of this folder reads one kind of file.

A reader returns named columns, one row per scene, as they are in the file; the stage decides what they mean. The origin
of files is unknown, so readers open them with :mod:`iodine_kit.untrusted`. They read rows rather than whole arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.records import Array
from iodine_kit.registry import Registry
from iodine_kit.system import storage_error
from iodine_kit.untrusted.npy import PICKLE, pickle_refused

HEAD = 8
"""Number of bytes at the beginning of a file that identify its kind."""


class Column(Protocol):
    """An array of a file, read in rows along its first axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""

    def rows(self, indices: NDArray[np.int64]) -> Array:
        """Some rows, in the given order; raises :class:`CorruptDataError` if they cannot be read."""


@dataclass(frozen=True)
class ArrayColumn:
    """A column from a NumPy array, in memory or on disk."""

    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        return self.array.dtype

    def rows(self, indices: NDArray[np.int64]) -> Array:
        """Some rows, in the given order."""
        return np.asarray(self.array[indices])


class PredictionsReaderPlugin(Protocol):
    """What a module of this folder offers."""

    VERSION: int
    """Raised whenever the same file would be read as other values."""

    def recognises(self, path: Path, head: bytes) -> bool:
        """Whether it is such a file (``head`` is its first :data:`HEAD` bytes) or folder (``head`` is empty)."""

    def files(self, path: Path) -> list[Path]:
        """The files that are read, sorted; their bytes identify the predictions."""

    def columns(self, path: Path) -> Mapping[str, Column]:
        """Its arrays by name; raises :class:`CorruptDataError` or :class:`SchemaError` if it has none to read."""


READERS: Registry[PredictionsReaderPlugin] = Registry(
    "reader of predictions", "iodine_kit.predictions.readers", PredictionsReaderPlugin, group="iodine_kit.foreign"
)


def reader_of(path: Path) -> str:
    """Name of the reader that recognises this file or folder.

    Raises:
        SourceError: there is no such file.
        CorruptDataError: it is empty.
        SchemaError: it holds a pickle, or no reader recognises it.
        StorageError: the operating system refuses to read it.
    """
    if path.exists() and not (path.is_dir() or path.is_file()):
        raise SchemaError(f"{path}: neither a file nor a folder")
    head = b"" if path.is_dir() else _head(path)
    for name in READERS.names():
        if READERS.load(name).recognises(path, head):
            return name
    if head.startswith(PICKLE):
        raise pickle_refused(str(path))
    known = ", ".join(READERS.names())
    raise SchemaError(f"{path}: no reader recognises this kind of file or folder; there are readers for {known}")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise storage_error(error, path) from error
    if not head:
        raise CorruptDataError(f"{path}: this file is empty (0 bytes); write it again")
    return head
