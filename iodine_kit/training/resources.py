"""How a run uses the machine: precision and compilation, memory and errors if it runs out, and speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from iodine_kit.errors import ConfigError, MemoryLimitError
from iodine_kit.formatting import byte_size
from iodine_kit.system import emulates_bfloat16, has_bfloat16_matrix_units, keep_freed_memory
from iodine_kit.tensors import tf32
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.memory import available_bytes, process_bytes

if TYPE_CHECKING:
    from iodine_kit.training.estimate import Estimate

LOWER = "lower train.batch_size, or set train.accumulate=2 (or more) or train.recompute=true"
FREE_DEVICE = "free memory there, or choose another train.device or a smaller model"
LARGE_STEP = 1 << 18
"""Pixels of the images of a step. The memory of smaller steps is not estimated, because that takes longer than they."""


def configure_model(model: nn.Module, config: TrainConfig, execution: TrainExecution, device: torch.device) -> None:
    """Set precision, recomputation and compilation of ``model`` as configured.

    ``train.compile=auto`` never compiles: on a CPU, a compiled step was slower, after a minute of compilation
    (reports/benchmarks/README.md); on a GPU, it was not measured.
    """
    set_computation(model, config, execution)
    if device.type == "cpu":
        keep_freed_memory()
    if execution.compile == "on":
        compile_step(model, device, accumulate=execution.accumulate)


def set_computation(model: nn.Module, config: TrainConfig, execution: TrainExecution) -> None:
    """Set the model's precision, and whether it recomputes activations, as configured."""
    computation: Any = model.computation
    precision = "bfloat16" if config.precision == "bfloat16" else "float32"
    model.computation = replace(computation, precision=precision, recompute=execution.recompute)


def compile_step(model: nn.Module, device: torch.device, accumulate: int = 1) -> None:
    """Compile the model's forward and backward pass, as one graph each.

    On a GPU they are replayed as CUDA graphs, but not if the gradients of several microbatches have to be added: a
    graph's gradients are in its own memory, which the replay for the next microbatch overwrites.
    """
    cuda_graphs = device.type == "cuda" and accumulate == 1
    model.compile(fullgraph=True, dynamic=False, mode="reduce-overhead" if cuda_graphs else None)


def precision_hint(config: TrainConfig, device: torch.device) -> str:
    """A note that names a faster precision than the configured one; "" if there is none."""
    if device.type == "cpu" and config.precision == "float32" and has_bfloat16_matrix_units():
        return "note: this CPU multiplies bfloat16 several times as fast as float32: see train.precision=bfloat16"
    if device.type == "cpu" and config.precision == "bfloat16" and emulates_bfloat16():
        return "note: this CPU has no bfloat16 instructions: train.precision=float32 is faster here"
    return ""


@contextmanager
def numerics(config: TrainConfig, execution: TrainExecution) -> Iterator[None]:
    """Context for all steps of a run: allows TF32 only if configured, and explains a failed compilation.

    Raises:
        ConfigError: if ``train.compile`` is on and PyTorch cannot compile the step.
    """
    with tf32(config.precision == "tf32"):
        if execution.compile != "on":
            yield
            return
        from torch._dynamo.exc import TorchDynamoException  # here, because loading it takes a second
        from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

        try:
            yield
        except (TorchDynamoException, CppCompileError, InvalidCxxCompiler) as error:
            inner = str(getattr(error, "inner_exception", error)).strip() or type(error).__name__
            reason = " ".join(inner.splitlines()[0].split())[:200]
            raise ConfigError(f"train.compile: PyTorch cannot compile here ({reason}): use train.compile=off") from None


def peak_bytes(device: torch.device) -> int:
    """The largest memory so far: of all tensors on a GPU, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return process_bytes("VmHWM")


def refuse_too_large(pixels: int, device: str, estimate: Callable[[], Estimate]) -> None:
    """Raise :class:`MemoryLimitError` if a step on the CPU needs more memory than is available.

    Linux would kill the process. A step on a GPU is not checked: a GPU reports that its memory is full. Nor is a step
    of fewer than :data:`LARGE_STEP` ``pixels``.
    """
    if pixels < LARGE_STEP or not (device == "cpu" or (device == "auto" and not torch.cuda.is_available())):
        return
    needed, available = estimate(), available_bytes()
    if available is not None and needed.peak_bytes > available:
        details = f"{needed.sentence()}, and {byte_size(available)} are available"
        raise out_of_memory("planning the first step", estimate=details)


def out_of_memory(doing: str, lower: str = LOWER, estimate: str = "") -> MemoryLimitError:
    """The error that names the activity, its estimate if known, and which settings to ``lower``."""
    expected = f" ({estimate})" if estimate else ""
    return MemoryLimitError(f"out of memory while {doing}{expected}: {lower}")


@contextmanager
def enough_memory(doing: str, lower: str = LOWER, estimate: Callable[[], str] = str) -> Iterator[None]:
    """Context that turns an error of full memory into :class:`MemoryLimitError`; see :func:`out_of_memory`.

    An ``estimate`` that fails is omitted, so that it does not hide the first error.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _means_full_memory(error):
            raise
        expected = ""
        with suppress(Exception):
            expected = estimate()
        raise out_of_memory(doing, lower, expected) from None


_FULL_MEMORY_TEXTS = (
    "can't allocate memory", "not enough memory", "could not create a memory object",  # a CPU
    "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED",  # past PyTorch's allocator
)  # fmt: skip


def _means_full_memory(error: BaseException) -> bool:
    """PyTorch has an error class only for its own allocator on a GPU; the other errors are recognised by their text."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(text in str(error) for text in _FULL_MEMORY_TEXTS)


class Throughput:
    """Measures the speed of a run that starts after step ``first``."""

    def __init__(self, first: int, steps: int, images_per_step: int, device: torch.device) -> None:
        self._first, self._steps, self._images, self._device = first, steps, images_per_step, device
        self._start = self._last_time = time.monotonic()
        self._last_step = first

    def seconds_per_step(self, step: int) -> float:
        """Mean since the start."""
        return (time.monotonic() - self._start) / max(step - self._first, 1)

    def facts(self, step: int) -> dict[str, float]:
        """``seconds_per_step`` for the facts of the run; empty if it made no step since the start."""
        return {"seconds_per_step": round(self.seconds_per_step(step), 5)} if step > self._first else {}

    def measure(self, step: int) -> dict[str, float]:
        """Images per second since the last call, peak memory in bytes, and the expected seconds to the last step."""
        now = time.monotonic()
        speed = (step - self._last_step) * self._images / max(now - self._last_time, 1e-9)
        self._last_time, self._last_step = now, step
        left = (self._steps - step) * self.seconds_per_step(step)
        return {"images_per_second": speed, "memory_bytes": peak_bytes(self._device), "seconds_left": left}
