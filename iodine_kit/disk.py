"""Disks: whether there is room, and whether what was written is there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from iodine_kit.errors import StorageError


def require_space(directory: Path, count: int) -> None:
    """Raise :class:`StorageError` if ``count`` bytes do not fit on the disk that holds ``directory``.

    HDF5 files cannot be closed in good order once the disk is full.
    """
    free = shutil.disk_usage(directory).free
    if count > free:
        raise StorageError(
            f"{directory}: {count / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB are free; make room"
        )


def sync(path: Path) -> None:
    """Bring a file and its name to the disk, so that they outlive a loss of power."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
