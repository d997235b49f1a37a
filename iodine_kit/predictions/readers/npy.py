"""A single ``.npy`` file: one array, called ``mask``, memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iodine_kit.predictions.readers import ArrayColumn, Column
from iodine_kit.untrusted.npy import MAGIC, map_array

VERSION = 1


def recognises(path: Path, head: bytes) -> bool:
    """By its first bytes."""
    return head.startswith(MAGIC)


def files(path: Path) -> list[Path]:
    """The file itself."""
    return [path]


def columns(path: Path) -> Mapping[str, Column]:
    """Its one array as ``mask``; raises what :func:`iodine_kit.untrusted.npy.map_array` raises."""
    return {"mask": ArrayColumn(map_array(path, texts=True))}
