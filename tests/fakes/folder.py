"""A user's own pictures: ``images/`` and ``masks/`` with PNG files of the same names; masks hold indices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fakes import Fake, Truth, draw, save_bomb

FLAWS = ()
VARIANTS: tuple[dict[str, Any], ...] = ({}, {"palette": True}, {"size": (40, 56)})
SMALL: tuple[dict[str, Any], ...] = ({},)
NEEDED = ("masks/*.png",)


def make(
    folder: Path,
    scenes: int = 3,
    seed: int = 0,
    *,
    size: tuple[int, int] = (48, 64),
    palette: bool = False,
) -> Fake:
    """Two folders of PNG files.

    Args:
        folder: where to put them.
        scenes: images.
        seed: of the random generator.
        size: height and width.
        palette: whether masks are palette pictures rather than grey ones.
    """
    rng = np.random.default_rng(seed)
    source = folder / "pictures"
    for name in ("images", "masks"):
        (source / name).mkdir(parents=True)
    truth = []
    for index in range(scenes):
        image, mask = draw(rng, size, int(rng.integers(1, 5)))
        Image.fromarray(image).save(source / "images" / f"{index:04d}.png")
        picture = Image.fromarray(mask)
        if palette:
            picture.putpalette(rng.integers(0, 256, 768).tolist())
        picture.save(source / "masks" / f"{index:04d}.png")
        truth.append(Truth(image, mask))
    return Fake("folder", {}, source, truth)


def mix(fake: Fake) -> Fake:
    """Replace a picture by one of another size."""
    Image.new("RGB", (24, 24)).save(fake.source / "images" / "0001.png")
    return fake


def lone(folder: Path) -> tuple[Fake, Path, int]:
    """The middle of a picture."""
    fake = make(folder)
    path = fake.source / "images" / "0001.png"
    return fake, path, path.stat().st_size // 2


HOSTILE = {
    "a picture of 3.6 gigapixels": lambda fake: save_bomb(fake.source / "images" / "0001.png"),
    "a mask of 3.6 gigapixels": lambda fake: save_bomb(fake.source / "masks" / "0001.png"),
    "a mask of another size": lambda fake: Image.new("L", (48, 64)).save(fake.source / "masks" / "0001.png"),
}
