"""Looking before leaping: HDF5 files cannot be closed in good order once the disk is full."""

from __future__ import annotations

import shutil
from pathlib import Path

from iodine_kit.errors import StorageError


def require_space(directory: Path, count: int) -> None:
    """Raise :class:`StorageError` if ``count`` bytes do not fit on the disk that holds ``directory``."""
    free = shutil.disk_usage(directory).free
    if count > free:
        raise StorageError(
            f"{directory}: {count / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB are free; make room"
        )
