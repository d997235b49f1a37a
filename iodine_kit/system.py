"""The machine: room on disks, memory that is kept for the next step, and how a CPU's cores are used."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
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


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed; elsewhere do nothing.

    Every training step allocates the same large tensors. Given back and asked for again, their pages have to be cleared
    each time they are first written, which costs as much as an activation function does.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_MAX, 0)


SPIN_COUNT = "20000"
"""Turns of a waiting loop, about a tenth of a millisecond, before an idle thread sleeps."""
_CPU_INFO = Path("/proc/cpuinfo")


def wait_briefly() -> None:
    """Let idle OpenMP threads sleep soon, unless the environment says otherwise. To be called before torch is imported.

    PyTorch's threads wait for each other after every operation, by default in a loop that lasts milliseconds. That wins
    nothing on an idle machine, and takes the core from whatever else runs on it, so small networks slow down.
    ``OMP_WAIT_POLICY=passive``, which never loops, makes them slow on an idle machine.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def has_bfloat16_matrix_units() -> bool:
    """Whether this CPU has units (AMX) that multiply bfloat16 matrices several times as fast as float32 ones."""
    return "amx_bf16" in _flags()


def lacks_bfloat16() -> bool:
    """Whether this is an x86 CPU that has to emulate bfloat16, which takes longer than float32."""
    flags = _flags()
    return bool(flags) and not {"amx_bf16", "avx512_bf16", "avx_ne_convert"} & flags


def _flags() -> set[str]:
    """What Linux says an x86 CPU can do; empty elsewhere."""
    try:
        with _CPU_INFO.open() as lines:
            return set(next(line for line in lines if line.startswith("flags")).split())
    except (OSError, StopIteration):
        return set()
