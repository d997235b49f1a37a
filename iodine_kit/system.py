"""The machine and the process: disk space, durable writes, kept memory, the CPU's cores, and torchrun's environment."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

from iodine_kit.errors import StorageError
from iodine_kit.formatting import byte_size

TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that torchrun sets for each of its processes."""


def is_one_of_several() -> bool:
    """Whether torchrun started this process together with others."""
    return all(name in os.environ for name in TORCHRUN) and os.environ["WORLD_SIZE"] != "1"


def require_free_space(directory: Path, count: int) -> None:
    """Raise :class:`StorageError` if the disk of ``directory`` has less than ``count`` bytes free.

    Check this before writing HDF5: a file cannot be closed properly once the disk is full.
    """
    free = shutil.disk_usage(directory).free
    if count > free:
        raise StorageError(
            f"{directory}: {byte_size(count)} are needed but only {byte_size(free)} are free; free disk space"
        )


def sync_to_disk(path: Path) -> None:
    """Write a file and its directory entry to the disk, so that they survive a power failure."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of mallopt(3)


def keep_freed_memory() -> None:
    """Make glibc's malloc keep freed memory for later allocations; do nothing on other systems.

    Every training step allocates the same large tensors. If their memory goes back to the kernel, the kernel has to
    clear its pages in every step, which takes as long as an activation function.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_MAX, 0)


SPIN_COUNT = "20000"
"""Iterations of a waiting loop, about 0.1 ms, before an idle thread sleeps."""
_CPU_INFO = Path("/proc/cpuinfo")


def shorten_spin_waits() -> None:
    """Make idle OpenMP threads sleep early, unless the environment configures this. Call it before importing torch.

    PyTorch's threads wait for each other after every operation, by default in a loop that runs for milliseconds. This
    saves nothing on an idle machine and takes the core from other programs, so small networks become slow.
    ``OMP_WAIT_POLICY=passive``, which never loops, makes them slow on an idle machine.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def has_bfloat16_matrix_units() -> bool:
    """Whether this CPU has units (AMX) that multiply bfloat16 matrices several times as fast as float32 matrices."""
    return "amx_bf16" in _cpu_flags()


def emulates_bfloat16() -> bool:
    """Whether this is an x86 CPU without bfloat16 instructions, on which bfloat16 is slower than float32."""
    flags = _cpu_flags()
    return bool(flags) and not {"amx_bf16", "avx512_bf16", "avx_ne_convert"} & flags


def _cpu_flags() -> set[str]:
    """The features of an x86 CPU as Linux reports them; empty elsewhere."""
    try:
        with _CPU_INFO.open() as lines:
            return set(next(line for line in lines if line.startswith("flags")).split())
    except (OSError, StopIteration):
        return set()
