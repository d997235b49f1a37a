"""The format hdf5, but the first worker process that opens a split is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

from iodine_kit.formats import Reader, hdf5
from iodine_kit.formats.hdf5 import VERSION, Config, encode, finish, write_shard

__all__ = ["VERSION", "Config", "encode", "finish", "open_split", "write_shard"]


def marker(directory: Path) -> Path:
    """The file that says that a worker was killed; beside the data set."""
    return directory.parent / "killed"


def open_split(directory: Path, split: str) -> Reader:
    """Open a finished split."""
    if multiprocessing.parent_process():
        try:
            marker(directory).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        except FileExistsError:
            pass
    return hdf5.open_split(directory, split)
