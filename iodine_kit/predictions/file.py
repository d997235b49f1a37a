"""``predictions.h5``: the predictions of a model for a split, one row per scene.

Arrays: ``key`` (UTF-8), ``mask u8[N, H, W]`` and, if they were stored, ``step_mask u8[N, T+1, H, W]``,
``soft_mask f16[N, K, H, W]``, ``component u8[N, K, H, W, 3]``, ``reconstruction f32[N, H, W, 3]``,
``latent_loc`` and ``latent_scale f32[N, K, Z]``, ``elbo``, ``nll`` and ``kl f32[N, T+1]`` (nats per image).
Meanings as in :class:`iodine_kit.records.PredictionBatch`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from iodine_kit.errors import CorruptDataError
from iodine_kit.records import PredictionBatch
from iodine_kit.system import refusal, require_free_space
from iodine_kit.untrusted.hdf5 import create_file
from iodine_kit.untrusted.hdf5_heaps import read_texts

PREDICTIONS = "predictions.h5"
SCHEMA = "iodine-kit/predictions/1"
OPTIONAL = tuple(field.name for field in fields(PredictionBatch) if field.name not in ("keys", "mask"))


class PredictionWriter:
    """Appends batches to a new file of ``count`` scenes; the first batch decides which fields the file has."""

    def __init__(self, path: Path, count: int, room_for: int = 0) -> None:
        """``room_for`` is the number of scenes for which the disk must have space; it defaults to ``count``."""
        import h5py  # here, because many commands name predictions, and few read them

        self._stack = ExitStack()
        self._file = self._stack.enter_context(create_file(path))
        self._file.attrs["schema"] = SCHEMA
        # Kept open, because HDF5 may write when a data set is closed, and crashes later if it fails then.
        self._columns = {"key": self._file.create_dataset("key", (count,), h5py.string_dtype())}
        self._path, self._count, self._row = path, count, 0
        self._room_for = room_for or count

    def append(self, batch: PredictionBatch) -> None:
        """Write the next scenes; raises :class:`iodine_kit.errors.StorageError` if the disk is too small for all."""
        if self._row == 0:
            given = (getattr(batch, name) for name in ("mask", *OPTIONAL))
            row = sum(value.nbytes for value in given if value is not None) // len(batch.keys)
            require_free_space(self._path.parent, row * self._room_for)
        rows = slice(self._row, self._row + len(batch.keys))
        self._columns["key"][rows] = list(batch.keys)
        for name in ("mask", *OPTIONAL):
            value = getattr(batch, name)
            if value is not None:
                if name not in self._columns:
                    self._columns[name] = self._file.create_dataset(name, (self._count, *value.shape[1:]), value.dtype)
                self._columns[name][rows] = value
        self._row = rows.stop

    def append_keys(self, keys: Sequence[str]) -> None:
        """Write only the keys of the next scenes; their other values stay undefined until somebody fills them in."""
        self._columns["key"][self._row : self._row + len(keys)] = list(keys)
        self._row += len(keys)

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)


class PredictionReader:
    """Reads slices of a predictions file.

    Raises:
        CorruptDataError: it is another file, or damaged; also raised when rows are read.
        StorageError: the system refuses to read it.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._path = path
        try:
            self._file = h5py.File(path, "r")
            self.keys = read_texts(self._file["key"], path)
            optional = {name: self._file[name] for name in OPTIONAL if name in self._file}
            self._columns: dict[str, Any] = {"mask": self._file["mask"], **optional}
            for name, column in self._columns.items():
                if column.shape[:1] != (len(self.keys),):
                    raise KeyError(f"'{name}' and 'key' have different numbers of rows")
        except (OSError, LookupError, AttributeError, TypeError, ValueError, RuntimeError, MemoryError) as error:
            problem = f"{path}: not a predictions file of iodine-kit ({error}); run infer or import-predictions again"
            raise refusal(error, path) or CorruptDataError(problem) from None

    def __len__(self) -> int:
        return len(self.keys)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def fields(self) -> set[str]:
        """Names of the stored fields."""
        return set(self._columns)

    def places(self) -> dict[str, range]:
        """The bytes of the file that hold every field; its rows follow each other without gaps.

        Raises:
            CorruptDataError: if the rows of a field have gaps: another program wrote the file, or it is damaged.
        """
        places = {}
        for name, column in self._columns.items():
            start = column.id.get_offset()
            if start is None:
                raise CorruptDataError(f"{self._path}: '{name}' is not stored in one piece")
            places[name] = range(start, start + column.nbytes)
        return places

    def column(self, name: str) -> Any:
        """All rows of one field, or ``None`` if it was not stored."""
        return self._rows(name, slice(None)) if name in self._columns else None

    def batch(self, start: int, stop: int, names: Collection[str] | None = None) -> PredictionBatch:
        """Scenes ``start`` to ``stop - 1``: the masks, and the fields ``names``, which default to all."""
        wanted = self._columns if names is None else self._columns.keys() & {"mask", *names}
        values = {name: self._rows(name, slice(start, stop)) for name in wanted}
        return PredictionBatch(keys=tuple(self.keys[start:stop]), **values)

    def _rows(self, name: str, rows: slice) -> Any:
        try:
            return np.asarray(self._columns[name][rows])
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            problem = f"{self._path}: '{name}' cannot be read ({error}); run infer or import-predictions again"
            raise refusal(error, self._path) or CorruptDataError(problem) from None
