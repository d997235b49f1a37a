"""What training uses: memory, and one sentence when it was not enough; and how fast it goes."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from iodine_kit.errors import MemoryLimitError

LOWER = "lower train.batch_size, or set train.accumulate=2 (or more) or train.recompute=true"
ELSEWHERE = "free memory there, or choose another train.device or a smaller model"


def peak_bytes(device: torch.device) -> int:
    """The most memory that tensors took on a GPU, or this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _told("VmHWM")


def resident_bytes() -> int:
    """Memory that this process takes now, libraries included; where that is not told, the most it ever took."""
    return _told("VmRSS")


def _told(name: str) -> int:
    """A line of Linux's status of the process; elsewhere the most it took, or 0 on Windows, which does not tell.

    Linux's ``ru_maxrss`` is no substitute: it begins with what the parent process had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("ascii", "replace").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
    if importlib.util.find_spec("resource") is None:
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_bytes() -> int | None:
    """Memory that this process could still take, by Linux and its control group; elsewhere it is not told."""
    told = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = (line.split() for line in meminfo.read_text("ascii", "replace").splitlines())
        told += [int(words[1]) * 1024 for words in lines if words and words[0] == "MemAvailable:"]
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    with suppress(OSError, ValueError):  # no control group, or no limit
        told.append(int(limit.read_text()) - int(used.read_text()))
    return min(told, default=None)


def out_of_memory(doing: str, lower: str = LOWER, estimate: str = "") -> MemoryLimitError:
    """The error that says what was being done, what was expected of it, if known, and what to ``lower``."""
    expected = f" ({estimate})" if estimate else ""
    return MemoryLimitError(f"out of memory while {doing}{expected}: {lower}")


@contextmanager
def enough_memory(doing: str, lower: str = LOWER, estimate: Callable[[], str] = str) -> Iterator[None]:
    """Context in which running out of memory becomes :class:`MemoryLimitError`; see :func:`out_of_memory`.

    An ``estimate`` that fails is left out: it must not take the place of what is to be told.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        expected = ""
        with suppress(Exception):
            expected = estimate()
        raise out_of_memory(doing, lower, expected) from None


_TEXTS = (
    "can't allocate memory", "not enough memory", "could not create a memory object",  # a CPU
    "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED",  # past PyTorch's allocator
)  # fmt: skip


def _is_memory(error: BaseException) -> bool:
    """PyTorch has a class only for what its own allocator on a GPU did not get."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in _TEXTS)


class Pace:
    """Watches the clock from step ``first`` on."""

    def __init__(self, first: int, steps: int, images_per_step: int, device: torch.device) -> None:
        self._first, self._steps, self._images, self._device = first, steps, images_per_step, device
        self._start = self._then = time.monotonic()
        self._before = first

    def seconds_per_step(self, step: int) -> float:
        """Mean since the beginning."""
        return (time.monotonic() - self._start) / max(step - self._first, 1)

    def facts(self, step: int) -> dict[str, float]:
        """``seconds_per_step`` for the facts of the run, if it made a step since the beginning."""
        return {"seconds_per_step": round(self.seconds_per_step(step), 5)} if step > self._first else {}

    def figures(self, step: int) -> dict[str, float]:
        """Speed since the last call, peak memory, and how long it may take yet."""
        now = time.monotonic()
        speed = (step - self._before) * self._images / max(now - self._then, 1e-9)
        self._then, self._before = now, step
        left = (self._steps - step) * self.seconds_per_step(step)
        return {"images_per_second": speed, "memory_bytes": peak_bytes(self._device), "seconds_left": left}
