"""How a run computes: precision, recomputation, compilation. Nothing here changes what is computed but for rounding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from iodine_kit.errors import ConfigError
from iodine_kit.heap import keep_freed_memory
from iodine_kit.training.config import TrainConfig, TrainExecution


def prepare(model: nn.Module, config: TrainConfig, execution: TrainExecution, device: torch.device) -> None:
    """Let ``model`` compute as configured on ``device``, and this process's matrix products with it.

    ``auto`` compiles nowhere: on a CPU a compiled step was slower, after minutes of compilation, and on GPUs it was not
    measured yet (benchmarks/README.md).
    """
    computation: Any = model.computation
    precision = "bfloat16" if config.precision == "bfloat16" else "float32"
    model.computation = replace(computation, precision=precision, recompute=execution.recompute)
    allow_tf32(config.precision == "tf32")
    if device.type == "cpu":
        keep_freed_memory()
    if execution.compile == "on":
        compile_step(model, device)


def allow_tf32(allowed: bool) -> None:
    """Whether GPUs may round the factors of float32 products to 10 bits; PyTorch lets convolutions unless told."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def compile_step(model: nn.Module, device: torch.device) -> None:
    """Compile the model's forward and backward pass as one graph each; on a GPU they are replayed as CUDA graphs."""
    model.compile(fullgraph=True, dynamic=False, mode="reduce-overhead" if device.type == "cuda" else None)


@contextmanager
def compiled(asked_for: bool) -> Iterator[None]:
    """Context of a step: raises :class:`ConfigError` if it was to be compiled and PyTorch cannot, on its first call."""
    if not asked_for:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException  # here, because it takes a second to load

    try:
        yield
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ConfigError(f"train.compile: PyTorch cannot compile here ({reason}): use train.compile=off") from None
