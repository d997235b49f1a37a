"""Weights out of a file's bytes: those a run ended with, or those it would have ended with at a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iodine_kit.errors import ArtifactCorruptError, SchemaError
from iodine_kit.training.checkpoint import KIND, Checkpoint, decode, first_misfit, parse

REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that weights may have."""


@dataclass(frozen=True)
class Weights:
    """Weights by name, as a model's ``state_dict`` has them.

    Attributes:
        step: of the checkpoint that they come from; ``None`` if the file holds weights only.
        weights_step: after which they were what they are: an earlier one if the run keeps its best weights.
        settings: of the checkpoint's run: the configuration of ``model`` and ``train``.
    """

    tensors: Mapping[str, Tensor]
    step: int | None = None
    weights_step: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_weights(data: bytes, path: Path) -> Weights:
    """The weights in a safetensors file, a checkpoint or not; ``path`` is for messages.

    Raises:
        ArtifactCorruptError: if the file is damaged, or no safetensors file.
    """
    tensors, metadata = parse(data, path)
    if metadata.get("kind") != KIND:
        return Weights(tensors)
    try:
        return weights_of(decode(data, path))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactCorruptError(f"{path}: not a checkpoint that this version can read: {error!r}") from None


def weights_of(checkpoint: Checkpoint) -> Weights:
    """What the run would have ended with at this step: its best weights if it keeps them, else averages if it has any.

    A run that keeps its best weights has them from its first validation on.
    """
    step, best = int(checkpoint.facts["step"]), _below(checkpoint, "best/")
    last = {**_below(checkpoint, "weights/"), **_below(checkpoint, "average/")}
    weights_step = int(checkpoint.facts["best"]["step"]) if best else step
    settings = {name: dict(checkpoint.facts["settings"][name]) for name in ("model", "train")}
    return Weights(best or last, step, weights_step, settings)


def fill(model: nn.Module, tensors: Mapping[str, Tensor], place: str) -> None:
    """Copy weights into ``model``; ``place`` names them in messages.

    Raises:
        SchemaError: naming the first tensor that does not fit, or that holds a value that is not finite.
    """
    if other := first_misfit(model.state_dict(), tensors):
        raise SchemaError(f"{place}: these weights do not fit the model: {other}")
    unreal = next((name for name, tensor in tensors.items() if tensor.dtype not in REAL), None)
    if unreal is not None:
        raise SchemaError(f"{place}: '{unreal}' holds {tensors[unreal].dtype}, and weights are real numbers")
    broken = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise SchemaError(f"{place}: '{broken}' holds values that are not finite")
    model.load_state_dict(tensors)


def _below(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in checkpoint.tensors.items() if n.startswith(prefix)}
