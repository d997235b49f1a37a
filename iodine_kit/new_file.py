"""Files outside the store that are complete or not there: they get their name at the end.

A process that is killed leaves a temporary file. Whoever writes the same file next deletes it: nobody has locked it.
"""

from __future__ import annotations

import glob
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from iodine_kit.system import storage_errors, sync_to_disk


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, in an existing folder. After an error, a file of this name is unchanged.

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
            sync_to_disk(temporary)
            temporary.replace(path)
            file.close()
    except BaseException:
        for remove in (file.close, temporary.unlink):
            with suppress(OSError):
                remove()
        raise


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed or its process ends; whether that is possible and nobody had locked it."""
    if importlib.util.find_spec("fcntl") is None:  # Windows
        return False
    import fcntl

    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _remove_abandoned(path: Path) -> None:
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError), temporary.open("r+b") as file:
            if _lock(file):  # not the own one, which is locked
                temporary.unlink()
