"""How a CPU's cores are used: how long idle threads wait, and whether matrix units for bfloat16 are there."""

from __future__ import annotations

import os
from pathlib import Path

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
