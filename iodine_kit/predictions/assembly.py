"""One predictions file made of parts, such that an interruption at any moment loses no finished part.

The file gets its final size and all keys before its first rows, with the calls of HDF5 that write it at once: its bytes
are the same. From then on, rows are written to their places without HDF5, so that no kill can leave a file that HDF5
cannot read. A file beside it, the mark, counts the rows that are in place, and has a hash of the rows of each field and
of all other bytes. A part is deleted once its rows are in place, so that the disk does not hold everything twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit.errors import CorruptDataError
from iodine_kit.new_file import put_in_place
from iodine_kit.predictions.file import PredictionReader, PredictionWriter
from iodine_kit.records import PredictionBatch
from iodine_kit.system import storage_errors, sync_to_disk

_CHUNK = 1 << 20


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
        self._places: dict[str, range] = {}
        self._outside = ""
        self._hashes: dict[str, Any] = {}
        self.rows = self._in_place()

    def _in_place(self) -> int:
        """The number of rows that the mark counts, if they are still those that were written; else 0."""
        with storage_errors(self._mark):
            text = self._mark.read_bytes() if self._mark.exists() and self._path.exists() else b""
        try:
            mark = json.loads(text)
            rows, hashes = int(mark["rows"]), dict(mark["sha256"])
            whole = PredictionReader(self._path)
        except (ValueError, KeyError, TypeError, CorruptDataError):
            return 0
        try:
            self._places = whole.places()
            for start in range(0, rows, self._batch_size):
                self._hash(whole.batch(start, min(start + self._batch_size, rows)), self._places)
        except CorruptDataError:
            self._hashes.clear()
        finally:
            whole.close()
        self._outside = self._hash_outside()
        unchanged = self._digests() == hashes and mark.get("outside", self._outside) == self._outside
        if whole.keys == list(self._keys) and unchanged:
            return rows
        self._hashes.clear()
        return 0

    def _hash(self, batch: PredictionBatch, names: Iterable[str]) -> None:
        """Add rows to the hashes of their fields."""
        for name in names:
            values = np.ascontiguousarray(getattr(batch, name))
            self._hashes.setdefault(name, hashlib.sha256()).update(values.data)

    def _hash_outside(self) -> str:
        """sha256 of the bytes of the file that are no rows."""
        digest, position = hashlib.sha256(), 0
        with storage_errors(self._path), self._path.open("rb") as file:
            for place in sorted(self._places.values(), key=lambda place: place.start):
                digest.update(file.read(max(0, place.start - position)))
                position = file.seek(place.stop)
            while rest := file.read(_CHUNK):
                digest.update(rest)
        return digest.hexdigest()

    def _digests(self) -> dict[str, str]:
        return {name: one.hexdigest() for name, one in self._hashes.items()}

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
        put_in_place(temporary, self._path)
        whole = PredictionReader(self._path)
        self._places = whole.places()
        whole.close()
        self._outside = self._hash_outside()

    def _fill(self, reader: PredictionReader) -> None:
        """Write the rows of a part to their places, and wait until they are on the disk."""
        with storage_errors(self._path, "written"):
            with self._path.open("r+b") as file:
                for start in range(0, len(reader), self._batch_size):
                    batch = reader.batch(start, start + self._batch_size)
                    self._hash(batch, self._places)
                    for name, place in self._places.items():
                        values = np.ascontiguousarray(getattr(batch, name))
                        file.seek(place.start + (self.rows + start) * values[0].nbytes)
                        file.write(values.data)
            sync_to_disk(self._path)

    def _count(self, rows: int) -> None:
        """Record that so many rows are in place."""
        with storage_errors(self._mark, "written"):
            mark = {"rows": rows, "sha256": self._digests(), "outside": self._outside}
            temporary = self._mark.with_suffix(".tmp")
            temporary.write_text(json.dumps(mark), "ascii")
            put_in_place(temporary, self._mark)
        self.rows = rows
