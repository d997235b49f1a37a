"""Weights and checkpoints as safetensors files, never as pickles. A crash leaves no incomplete file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from iodine_kit.errors import ArtifactCorruptError, SchemaError
from iodine_kit.system import storage_errors
from iodine_kit.training.run_files import CHECKPOINTS, checkpoint_name, write_atomically

KIND = "iodine-kit checkpoint 1"


@dataclass(frozen=True)
class Checkpoint:
    """All that a resumed run needs: ``tensors`` by name, and ``facts`` that JSON can represent."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def encode(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as the bytes of a safetensors file, with a checksum over tensors and facts."""
    tensors, facts = _storable(checkpoint.tensors), json.dumps(checkpoint.facts, sort_keys=True)
    return save(tensors, {"kind": KIND, "facts": facts, "crc32": _checksum(tensors, facts)})


def decode(data: bytes, path: Path) -> Checkpoint:
    """The checkpoint that :func:`encode` turned into ``data``; ``path`` is for messages.

    Raises:
        ArtifactCorruptError: if the bytes are damaged, or are no checkpoint.
    """
    tensors, metadata = parse(data, path)
    if metadata.get("kind") != KIND:
        raise ArtifactCorruptError(f"{path}: contains tensors, but is not a checkpoint of iodine-kit")
    facts = metadata.get("facts", "")
    if metadata.get("crc32") != _checksum(tensors, facts):
        raise ArtifactCorruptError(f"{path}: the checkpoint is damaged: checksum mismatch")
    return Checkpoint(tensors, json.loads(facts))


def parse(data: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; raises :class:`ArtifactCorruptError` if it cannot be read."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, KeyError) as error:
        raise ArtifactCorruptError(f"{path}: cannot be read as safetensors: {error}") from None
    return tensors, header.get("__metadata__", {})


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU in row-major order, the only order that safetensors stores; ours are channels-last."""
    return {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}


def _checksum(tensors: Mapping[str, Tensor], facts: str) -> str:
    value = zlib.crc32(facts.encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


class CheckpointManager:
    """Writes the checkpoints of a run in ``directory`` and keeps the ``keep`` newest ones."""

    def __init__(self, directory: Path, keep: int) -> None:
        self._directory, self._keep = directory, keep

    @property
    def latest(self) -> str:
        """File name of the newest checkpoint; empty if there is none."""
        return next((path.name for path in self._newest_first()), "")

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write the checkpoint after ``step`` steps, then delete the oldest ones beyond ``keep``."""
        write_atomically(self._directory / checkpoint_name(step), encode(checkpoint))
        for path in self._newest_first()[self._keep :]:
            path.unlink()

    def newest(self, note: Callable[[str], None]) -> tuple[bytes, Checkpoint | None]:
        """The newest intact checkpoint, as bytes and decoded; ``(b"", None)`` if there is no checkpoint.

        A damaged one is removed, because it would stay the newest, and a ``note`` names it.

        Raises:
            ArtifactCorruptError: if all are damaged.
        """
        paths = self._newest_first()
        for place, path in enumerate(paths, 1):
            with storage_errors(path):
                data = path.read_bytes()
            try:
                return data, decode(data, path)
            except ArtifactCorruptError as error:
                if place == len(paths):
                    raise ArtifactCorruptError(
                        f"{error}; there is no older checkpoint: use --overwrite to start from the beginning"
                    ) from None
                note(f"note: {error}; it is removed, and {paths[place].name} is used instead")
                path.unlink()
        return b"", None

    def _newest_first(self) -> list[Path]:
        return sorted(self._directory.glob(CHECKPOINTS), reverse=True)


REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that weights may have."""


@dataclass(frozen=True)
class Weights:
    """Weights by name, as in a model's ``state_dict``.

    Attributes:
        step: steps of the checkpoint that they come from; ``None`` if the file contains weights only.
        weights_step: step after which the weights had these values; before ``step`` if the run keeps its best weights.
        settings: tables ``model`` and ``train`` of the checkpoint's run.
    """

    tensors: Mapping[str, Tensor]
    step: int | None = None
    weights_step: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights alone, in the form that every reader of safetensors accepts."""
    write_atomically(path, save(_storable(weights), {"format": "pt"}))


def read_weights(data: bytes, path: Path) -> Weights:
    """The weights in a safetensors file, which may be a checkpoint; ``path`` is for messages.

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
    """The weights with which the run would have ended at this step: its best ones, its averages, or its last ones.

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
        SchemaError: naming the first tensor that does not fit the model, is not real, or is not finite.
    """
    if misfit := first_misfit(model.state_dict(), tensors):
        raise SchemaError(f"{place}: these weights do not fit the model: {misfit}")
    unreal = next((name for name, tensor in tensors.items() if tensor.dtype not in REAL), None)
    if unreal is not None:
        raise SchemaError(f"{place}: '{unreal}' has the type {tensors[unreal].dtype}, but weights are real numbers")
    broken = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise SchemaError(f"{place}: '{broken}' contains values that are not finite")
    model.load_state_dict(tensors)


def first_misfit(expected: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> str:
    """Describe the first tensor that is missing, unexpected, or has another shape; "" if all fit."""
    for name in [*expected, *(name for name in stored if name not in expected)]:
        shapes = [list(each[name].shape) if name in each else "absent" for each in (stored, expected)]
        if shapes[0] != shapes[1]:
            return f"'{name}' is {shapes[0]} in the file and {shapes[1]} in this model"
    return ""


def _below(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in checkpoint.tensors.items() if n.startswith(prefix)}
