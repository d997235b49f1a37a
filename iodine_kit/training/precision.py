"""How a run computes: precision, recomputation, compilation. Nothing here changes what is computed but for rounding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from iodine_kit.errors import ConfigError
from iodine_kit.system import has_bfloat16_matrix_units, keep_freed_memory, lacks_bfloat16
from iodine_kit.tensors import tf32
from iodine_kit.training.config import TrainConfig, TrainExecution


def prepare(model: nn.Module, config: TrainConfig, execution: TrainExecution, device: torch.device) -> None:
    """Let ``model`` compute as configured on ``device``.

    ``auto`` compiles nowhere: on a CPU a compiled step was slower, after a minute of compilation
    (reports/benchmarks/README.md), and on a GPU it was never run.
    """
    set_computation(model, config, execution)
    if device.type == "cpu":
        keep_freed_memory()
    if execution.compile == "on":
        compile_step(model, device, parts=execution.accumulate)


def set_computation(model: nn.Module, config: TrainConfig, execution: TrainExecution) -> None:
    """Set the model's precision and whether it recomputes, as configured."""
    computation: Any = model.computation
    precision = "bfloat16" if config.precision == "bfloat16" else "float32"
    model.computation = replace(computation, precision=precision, recompute=execution.recompute)


def hint(config: TrainConfig, device: torch.device) -> str:
    """A sentence on a faster way to compute than the configuration's, or "" if there is none that matters."""
    if device.type == "cpu" and config.precision == "float32" and has_bfloat16_matrix_units():
        return "note: this CPU multiplies bfloat16 several times as fast as float32: see train.precision=bfloat16"
    if device.type == "cpu" and config.precision == "bfloat16" and lacks_bfloat16():
        return "note: this CPU has no bfloat16 instructions: train.precision=float32 is faster here"
    return ""


def compile_step(model: nn.Module, device: torch.device, parts: int = 1) -> None:
    """Compile the model's forward and backward pass as one graph each.

    On a GPU they are replayed as CUDA graphs, unless the gradients of several ``parts`` have to be added up: those
    would lie in the graphs' own memory, which the next part's replay overwrites.
    """
    graphs = device.type == "cuda" and parts == 1
    model.compile(fullgraph=True, dynamic=False, mode="reduce-overhead" if graphs else None)


@contextmanager
def computing(config: TrainConfig, execution: TrainExecution) -> Iterator[None]:
    """Context in which a run computes: TF32 only where it is asked for, and one sentence where compilation fails.

    Raises:
        ConfigError: if the step was to be compiled and PyTorch cannot.
    """
    with tf32(config.precision == "tf32"):
        if execution.compile != "on":
            yield
            return
        from torch._dynamo.exc import TorchDynamoException  # here, because it takes a second to load
        from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

        try:
            yield
        except (TorchDynamoException, CppCompileError, InvalidCxxCompiler) as error:
            inner = str(getattr(error, "inner_exception", error)).strip() or type(error).__name__
            reason = " ".join(inner.splitlines()[0].split())[:200]
            raise ConfigError(f"train.compile: PyTorch cannot compile here ({reason}): use train.compile=off") from None
