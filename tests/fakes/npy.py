"""Two arrays per split, as GENESIS' version of Multi-dSprites: images and index masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fakes import Array, Fake, Truth, draw, npy_head

FLAWS = ()
VARIANTS: tuple[dict[str, Any], ...] = ({}, {"splits": ("train", "val", "test")}, {"mask_type": "int64"})
SMALL: tuple[dict[str, Any], ...] = ({},)
NEEDED = ("*_images.npy", "*_masks.npy")


def make(
    folder: Path,
    scenes: int = 3,
    seed: int = 0,
    *,
    splits: tuple[str, ...] = ("train",),
    mask_type: str = "uint8",
) -> Fake:
    """``SPLIT_images.npy u8[N, 64, 64, 3]`` and ``SPLIT_masks.npy [N, 64, 64]`` for each split.

    Args:
        folder: where to put them.
        scenes: images of each split.
        seed: of the random generator.
        splits: their names.
        mask_type: of the indices.
    """
    rng = np.random.default_rng(seed)
    source = folder / "multi_dsprites"
    source.mkdir()
    truth = []
    for split in splits:
        pairs = [draw(rng, (64, 64), int(rng.integers(1, 5))) for _ in range(scenes)]
        np.save(source / f"{split}_images.npy", np.stack([image for image, _ in pairs]))
        np.save(source / f"{split}_masks.npy", np.stack([mask for _, mask in pairs]).astype(mask_type))
        truth += [Truth(*pair, {}, split) for pair in pairs]
    return Fake("multi-dsprites", {"variant": "colored_on_colored"}, source, truth)


def mix(fake: Fake) -> Fake:
    """Add a split of smaller pictures."""
    np.save(fake.source / "val_images.npy", np.zeros((2, 35, 35, 3), np.uint8))
    np.save(fake.source / "val_masks.npy", np.zeros((2, 35, 35), np.uint8))
    return fake


def _masks(content: bytes) -> Callable[[Fake], None]:
    return lambda fake: (fake.source / "train_masks.npy").write_bytes(content) and None


def _array(values: Array, name: str = "masks") -> Callable[[Fake], None]:
    return lambda fake: np.save(fake.source / f"train_{name}.npy", values)


HOSTILE = {
    "a terabyte": _masks(npy_head((1 << 28, 64, 64)) + bytes(1000)),
    "a dimension below 0": _masks(npy_head((-3, 64, 64)) + bytes(3 * 64 * 64)),
    "dimensions whose product overflows": _masks(npy_head((1 << 40, 1 << 40, 64)) + bytes(1000)),
    "fewer masks than images": _array(np.zeros((2, 64, 64), np.uint8)),
    "masks of another size": _array(np.zeros((3, 32, 32), np.uint8)),
    "masks of fractions": _array(np.full((3, 64, 64), 0.5)),
    "masks below 0": _array(np.full((3, 64, 64), -1)),
    "masks beyond a byte": _array(np.full((3, 64, 64), 256)),
    "masks of text": _array(np.full((3, 64, 64), "a")),
    "records": _array(np.zeros((3, 64, 64), [("a", "u1"), ("b", "f4")])),
    "a number": _array(np.array(3)),
    "images of text": _array(np.full((3, 64, 64, 3), "a"), "images"),
    "images of not a number": _array(np.full((3, 64, 64, 3), np.nan), "images"),
    "images of two channels": _array(np.zeros((3, 64, 64, 2), np.uint8), "images"),
}
