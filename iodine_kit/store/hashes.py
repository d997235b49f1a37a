"""Hashes of files outside the store, remembered for as long as nothing of a file's status changes."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from iodine_kit.store.identity import file_sha256

SMALL = 1 << 20
"""Files up to this size are hashed faster than they are looked up."""
SETTLED_NS = 2_000_000_000
"""A file that changed so short a time ago may change again without its times telling."""

Stamp = tuple[int, int, int, int]


class FileHashes:
    """A cache in one SQLite file, so that a data set of 10 GB is not hashed whenever it is named.

    It is a convenience only: where it cannot be read or written, files are hashed.
    """

    def __init__(self, path: Path) -> None:
        self._database: sqlite3.Connection | None = None
        with suppress(sqlite3.Error, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=5, isolation_level=None)
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS hashes "
                "(name TEXT PRIMARY KEY, bytes INT, modified INT, changed INT, inode INT, sha256 TEXT)"
            )

    def sha256(self, file: Path) -> str:
        """sha256 of a file's bytes, in hexadecimal."""
        status = file.stat()
        # The time of the last change of status as well: programs that copy files may set back the other one.
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        settled = time.time_ns() - max(stamp[1:3]) > SETTLED_NS
        if status.st_size <= SMALL or not settled or self._database is None:
            return file_sha256(file)
        return self._find(str(file.resolve()), stamp) or self._keep(file, stamp)

    def close(self) -> None:
        """Give the file back."""
        if self._database is not None:
            self._database.close()

    def _find(self, name: str, stamp: Stamp) -> str | None:
        query = "SELECT sha256 FROM hashes WHERE name = ? AND (bytes, modified, changed, inode) = (?, ?, ?, ?)"
        with suppress(sqlite3.Error):
            assert self._database is not None
            row = self._database.execute(query, (name, *stamp)).fetchone()
            return str(row[0]) if row else None
        return None

    def _keep(self, file: Path, stamp: Stamp) -> str:
        found = file_sha256(file)
        with suppress(sqlite3.Error):
            assert self._database is not None
            command = "INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?)"
            self._database.execute(command, (str(file.resolve()), *stamp, found))
        return found
