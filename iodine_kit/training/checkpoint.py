"""Weights and checkpoints as safetensors files. Never a pickle. They are whole from the moment they are there."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from iodine_kit.disk import sync
from iodine_kit.errors import ArtifactCorruptError

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
