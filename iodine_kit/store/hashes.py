"""Hashes of files outside the store, remembered for as long as a file's size and time stay as they were."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from iodine_kit.store.identity import file_sha256


class FileHashes:
    """A cache in one SQLite file, so that a data set of 10 GB is not hashed whenever it is named.

    It is a convenience only: where it cannot be read or written, files are hashed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def sha256(self, file: Path) -> str:
        """sha256 of a file's bytes, in hexadecimal."""
        stat = file.stat()
        name, stamp = str(file.resolve()), (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        found = self._find(name, stamp)
        if found is None:
            found = file_sha256(file)
            self._keep(name, stamp, found)
        return found

    def _find(self, name: str, stamp: tuple[int, int, int]) -> str | None:
        with suppress(sqlite3.Error, OSError), closing(self._connect()) as database:
            query = "SELECT sha256 FROM files WHERE name = ? AND bytes = ? AND mtime = ? AND inode = ?"
            row = database.execute(query, (name, *stamp)).fetchone()
            return str(row[0]) if row else None
        return None

    def _keep(self, name: str, stamp: tuple[int, int, int], sha256: str) -> None:
        with suppress(sqlite3.Error, OSError), closing(self._connect()) as database, database:
            database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", (name, *stamp, sha256))

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=5)
        database.execute(
            "CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, bytes INT, mtime INT, inode INT, sha256 TEXT)"
        )
        return database
