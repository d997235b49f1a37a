"""A cache for the hashes of files outside the store; an entry is valid until the status of the file changes."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from iodine_kit.store.manifest import file_sha256
from iodine_kit.system import readable

SMALL = 1 << 20
"""Hashing a file up to this size, in bytes, is faster than looking it up."""
SETTLED_NS = 2_000_000_000
"""A file that changed less than this long ago could change again without another time stamp."""

Stamp = tuple[int, int, int, int]
"""Size, time of modification, time of status change, and inode."""


class FileHashes:
    """A cache in one SQLite file, so that a data set of 10 GB is not hashed for every command.

    If the cache cannot be read or written, files are hashed every time.
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
        """sha256 of the bytes of a file, in hexadecimal."""
        status = file.stat()
        # Includes the time of the status change, because programs that copy files can set the modification time.
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        settled = time.time_ns() - max(stamp[1:3]) > SETTLED_NS
        if status.st_size <= SMALL or not settled or self._database is None:
            return file_sha256(file)
        return self._look_up(readable(str(file.resolve())), stamp) or self._hash(file, stamp)

    def close(self) -> None:
        """Close the cache."""
        if self._database is not None:
            self._database.close()

    def _look_up(self, name: str, stamp: Stamp) -> str | None:
        query = "SELECT sha256 FROM hashes WHERE name = ? AND (bytes, modified, changed, inode) = (?, ?, ?, ?)"
        with suppress(sqlite3.Error):
            assert self._database is not None
            row = self._database.execute(query, (name, *stamp)).fetchone()
            return str(row[0]) if row else None
        return None

    def _hash(self, file: Path, stamp: Stamp) -> str:
        digest = file_sha256(file)
        with suppress(sqlite3.Error):
            assert self._database is not None
            command = "INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?)"
            self._database.execute(command, (readable(str(file.resolve())), *stamp, digest))
        return digest
