"""Memory of this process and of the machine, without PyTorch."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path


def resident_bytes() -> int:
    """The memory of this process now, libraries included; outside Linux, the largest so far."""
    return process_bytes("VmRSS")


def process_bytes(name: str) -> int:
    """An entry of Linux's status of the process; elsewhere its largest memory so far.

    Linux's ``ru_maxrss`` is no substitute: it starts with the memory of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("ascii", "replace").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_bytes() -> int | None:
    """Memory that this process can still allocate, by Linux and its control group; ``None`` if unknown."""
    limits = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = (line.split() for line in meminfo.read_text("ascii", "replace").splitlines())
        limits += [int(words[1]) * 1024 for words in lines if words and words[0] == "MemAvailable:"]
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    with suppress(OSError, ValueError):  # no control group, or no limit
        limits.append(int(limit.read_text()) - int(used.read_text()))
    return min(limits, default=None)
