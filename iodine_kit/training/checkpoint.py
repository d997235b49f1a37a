"""Weights and checkpoints as safetensors files. Never a pickle. They are whole from the moment they are there."""

from __future__ import annotations

import json
import os
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
from iodine_kit.system import sync
from iodine_kit.training.run_files import CHECKPOINTS, checkpoint_name

KIND = "iodine-kit checkpoint 1"


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on: ``tensors`` by name, and ``facts`` that are JSON."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def encode(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as the bytes of a safetensors file, with a checksum over everything in it."""
    tensors, facts = _plain(checkpoint.tensors), json.dumps(checkpoint.facts, sort_keys=True)
    return save(tensors, {"kind": KIND, "facts": facts, "crc32": _checksum(tensors, facts)})


def decode(data: bytes, path: Path) -> Checkpoint:
    """The checkpoint that :func:`encode` made these bytes of; ``path`` is for messages.

    Raises:
        ArtifactCorruptError: if they are damaged, or another file's.
    """
    tensors, metadata = parse(data, path)
    if metadata.get("kind") != KIND:
        raise ArtifactCorruptError(f"{path}: holds tensors, but is no checkpoint of this program")
    facts = metadata.get("facts", "")
    if metadata.get("crc32") != _checksum(tensors, facts):
        raise ArtifactCorruptError(f"{path}: the checkpoint is damaged: its checksum is another than when it was made")
    return Checkpoint(tensors, json.loads(facts))


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights alone, as every safetensors reader understands them."""
    write(path, save(_plain(weights), {"format": "pt"}))


def first_misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say of the first tensor that is missing, too many, or of another shape; "" if all fit."""
    for name in [*expected, *(name for name in found if name not in expected)]:
        shapes = [list(each[name].shape) if name in each else "absent" for each in (found, expected)]
        if shapes[0] != shapes[1]:
            return f"'{name}' is {shapes[0]} in the file and {shapes[1]} in this model"
    return ""


def write(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path)


def parse(data: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; raises :class:`ArtifactCorruptError` if it cannot be read as one."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, KeyError) as error:
        raise ArtifactCorruptError(f"{path}: cannot be read as safetensors: {error}") from None
    return tensors, header.get("__metadata__", {})


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, in rows: safetensors knows no other order, and channels-last weights have to be laid out anew."""
    return {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}


def _checksum(tensors: Mapping[str, Tensor], facts: str) -> str:
    value = zlib.crc32(facts.encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


class Checkpoints:
    """The ``keep`` newest checkpoints in ``directory``."""

    def __init__(self, directory: Path, keep: int) -> None:
        self._directory, self._keep = directory, keep

    @property
    def latest(self) -> str:
        """Name of the newest one; empty if there is none."""
        return next((path.name for path in self._newest_first()), "")

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write the checkpoint after ``step`` steps, then let go of those that are too many."""
        write(self._directory / checkpoint_name(step), encode(checkpoint))
        for path in self._newest_first()[self._keep :]:
            path.unlink()

    def newest(self, note: Callable[[str], None]) -> tuple[bytes, Checkpoint | None]:
        """The newest one that is intact, as bytes and decoded; no bytes if there is none at all.

        A damaged one is told of in a ``note`` and removed, for it would count as the newest ever after.

        Raises:
            ArtifactCorruptError: if all are damaged.
        """
        paths = self._newest_first()
        for place, path in enumerate(paths, 1):
            data = path.read_bytes()
            try:
                return data, decode(data, path)
            except ArtifactCorruptError as error:
                if place == len(paths):
                    raise ArtifactCorruptError(f"{error}; there is no older one: start anew with --overwrite") from None
                note(f"note: {error}; it is removed, and {paths[place].name} taken instead")
                path.unlink()
        return b"", None

    def _newest_first(self) -> list[Path]:
        return sorted(self._directory.glob(CHECKPOINTS), reverse=True)


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
