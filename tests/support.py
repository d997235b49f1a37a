"""What tests of the command line share."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Command = Callable[..., subprocess.CompletedProcess[str]]

_VALUES = (
    "train.batch_size=4",
    "model.steps=1",
    "model.latent=3",
    "model.decoder.kernel=3",
    "model.decoder.channels=[4]",
    "model.refinement.channels=[4]",
    "model.refinement.mlp=[4]",
    "model.gradient_reduction='per-image'",
)
TINY = [part for value in _VALUES for part in ("--set", value)]
"""A net that trains in no time, for images of 3×3 pixels or more."""


def scene(seed: int = 0, size: int = 48, objects: int = 3) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image ``uint8[size, size, 3]`` of coloured squares on a dark background, and its mask of indices."""
    rng = np.random.default_rng(seed)
    image, mask = np.full((size, size, 3), rng.integers(20, 60), np.uint8), np.zeros((size, size), np.uint8)
    for index in range(1, objects + 1):
        (top, left), side = rng.integers(0, size - size // 3, 2), rng.integers(size // 6, size // 3)
        mask[top : top + side, left : left + side] = index
        image[mask == index] = rng.integers(80, 255, 3)
    return image, mask


def put(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    """Save an array as a picture, and make its folders; ``options`` are Pillow's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def score(folder: Path, printed: str) -> float:
    """FG-ARI of the evaluation whose path a command printed."""
    path = folder / printed.strip().splitlines()[-1] / "manifest.json"
    return float(json.loads(path.read_text("utf-8"))["facts"]["metrics"]["ari"]["mean"])
