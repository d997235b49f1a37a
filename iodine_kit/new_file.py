"""Files that are complete or not there: they get their name at the end."""

from __future__ import annotations

import fcntl
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from iodine_kit.system import storage_errors


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a complete file its name, in the same folder; a file of this name is replaced.

    Its bytes are on the disk before it has the name, and the name is on the disk at the end: after a crash or a power
    failure at any moment, the name has the earlier bytes or the new ones.
    """
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, in an existing folder outside the store. After an error, a file of this name is unchanged.

    A process that is killed leaves a temporary file. Whoever writes the same file next deletes it, because nobody has
    locked it.

    Raises:
        StorageError: the operating system refuses to make, sync or rename the file. Writing to it raises ``OSError``.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    with storage_errors(path, "written"):
        file = temporary.open("xb")
        _lock(file)
        _remove_abandoned(path)
    try:
        yield file
        with storage_errors(path, "written"):
            file.flush()
            put_in_place(temporary, path)
            file.close()
    except BaseException:
        for remove in (file.close, temporary.unlink):
            with suppress(OSError):
                remove()
        raise


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed or its process ends; whether nobody had locked it."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _remove_abandoned(path: Path) -> None:
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError), temporary.open("r+b") as file:
            if _lock(file):  # not the own one, which is locked
                temporary.unlink()
