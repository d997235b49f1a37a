"""One predictions file made of parts, such that an interruption at any moment loses no finished part.

The file gets its final size and all keys before its first rows, with the calls of HDF5 that write it at once: its bytes
are the same. From then on, rows are written to their places without HDF5, so that no kill can leave a file that HDF5
cannot read. A file beside it, the mark, counts the rows that are in place. A part is deleted once its rows are, so that
the disk does not hold everything twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iodine_kit.errors import CorruptDataError
from iodine_kit.predictions.file import PredictionReader, PredictionWriter
from iodine_kit.system import storage_errors, sync_to_disk


class PredictionAssembly:
    """A predictions file that grows by parts: predictions files of the next scenes, in order.

    Attributes:
        rows: number of scenes that are in place; more than 0 if an interrupted assembly resumes.
    """

    def __init__(self, path: Path, mark: Path, keys: Sequence[str], batch_size: int) -> None:
        """Start, or resume if ``mark`` says that rows are in place.

        Args:
            path: the file to make.
            mark: the file that counts rows.
            keys: of all scenes, in order.
            batch_size: scenes that are in memory at once; the bytes of the file depend on it.
        """
        self._path, self._mark, self._keys, self._batch_size = path, mark, keys, batch_size
        self._places: dict[str, int] = {}
        with storage_errors(mark):
            text = mark.read_text("ascii") if mark.exists() and path.exists() else ""
        self.rows = int(text) if text.isdecimal() and int(text) <= len(keys) else 0

    def append(self, part: Path) -> int:
        """Put the rows of a part in place, and delete it; returns their number.

        Raises:
            CorruptDataError: if the part is damaged, or holds other scenes than the next ones.
            StorageError: if the disk is full; nothing is lost.
        """
        reader = PredictionReader(part)
        try:
            start, stop = self.rows, self.rows + len(reader)
            if reader.keys != list(self._keys[start:stop]):
                raise CorruptDataError(f"{part}: holds other scenes than {self._path} needs: delete it")
            if not self.rows:
                self._create(reader)
            self._fill(reader)
        finally:
            reader.close()
        self._count(stop)
        part.unlink()
        return stop - start

    def _create(self, reader: PredictionReader) -> None:
        """Write the file with the rows of the first batch, and the keys of all."""
        temporary, first = self._path.with_suffix(".tmp"), reader.batch(0, self._batch_size)
        with PredictionWriter(temporary, len(self._keys)) as writer:
            writer.append(first)
            for start in range(len(first.keys), len(self._keys), self._batch_size):
                writer.append_keys(self._keys[start : start + self._batch_size])
        sync_to_disk(temporary)
        temporary.replace(self._path)

    def _fill(self, reader: PredictionReader) -> None:
        """Write the rows of a part to their places, and wait until they are on the disk."""
        if not self._places:
            whole = PredictionReader(self._path)
            self._places = whole.places()
            whole.close()
        with storage_errors(self._path, "written"):
            with self._path.open("r+b") as file:
                for start in range(0, len(reader), self._batch_size):
                    batch = reader.batch(start, start + self._batch_size)
                    for name, offset in self._places.items():
                        values = np.ascontiguousarray(getattr(batch, name))
                        file.seek(offset + (self.rows + start) * values[0].nbytes)
                        file.write(values.data)
            sync_to_disk(self._path)

    def _count(self, rows: int) -> None:
        """Record that so many rows are in place."""
        with storage_errors(self._mark, "written"):
            temporary = self._mark.with_suffix(".tmp")
            temporary.write_text(str(rows), "ascii")
            sync_to_disk(temporary)
            temporary.replace(self._mark)
            sync_to_disk(self._mark)
        self.rows = rows
