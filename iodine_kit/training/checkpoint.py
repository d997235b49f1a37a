"""Checkpoints as safetensors: weights, Adam's moments and the step, in one file, replaced in place. Never a pickle."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from iodine_kit.errors import ArtifactCorruptError

MOMENTS = ("exp_avg", "exp_avg_sq")


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Adam, step: int) -> None:
    """Write what is needed to go on after ``step`` steps; the old file stays until the new one is whole."""
    tensors = {f"weights/{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for moment in MOMENTS:
            if parameter in optimizer.state:
                tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment]
    _write(path, tensors, {"step": str(step)})


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Adam) -> int:
    """Restore model and optimiser; return the number of steps done.

    Raises:
        ArtifactCorruptError: if the file is damaged or belongs to another net.
    """
    tensors, metadata = _read(path)
    weights = {name.removeprefix("weights/"): value for name, value in tensors.items() if name.startswith("weights/")}
    _load_weights(path, model, weights)
    if not metadata.get("step", "").isdecimal():
        raise ArtifactCorruptError(f"{path}: not a checkpoint: it does not say how many steps were done")
    step = int(metadata["step"])
    for name, parameter in model.named_parameters():
        if f"exp_avg/{name}" in tensors:
            moments = {moment: _like(tensors[f"{moment}/{name}"], parameter) for moment in MOMENTS}
            optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
    return step


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the weights alone, as every safetensors reader understands them."""
    _write(path, dict(model.state_dict()), {"format": "pt"})


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights into ``model``; raises :class:`ArtifactCorruptError` if they are damaged or another net's."""
    _load_weights(path, model, _read(path)[0])


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    temporary = path.with_suffix(".tmp")
    # safetensors stores rows in order: channels-last weights have to be laid out anew.
    data = save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, metadata)
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ArtifactCorruptError(f"{path}: cannot be read as safetensors: {error}") from None


def _load_weights(path: Path, model: nn.Module, weights: dict[str, Tensor]) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactCorruptError(f"{path}: these are another net's weights: {' '.join(str(error).split())}") from None


def _like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """In the parameter's device and memory layout, in which Adam would have made it."""
    return torch.empty_like(parameter).copy_(value)
