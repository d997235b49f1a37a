"""CLEVRTex: a folder per thousand scenes: each has an RGB PNG, a palette PNG whose indices are the mask, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fakes import Array, Fake, Truth, draw, save_bomb

FLAWS = ()
VARIANTS: tuple[dict[str, Any], ...] = ({"scenes": 12}, {"alpha": True}, {"variant": "camo"}, {"variant": "outd"})
SMALL: tuple[dict[str, Any], ...] = ({},)
NEEDED = ("*/*_??????.png", "*/*_flat.png")
_SIZES, _SHAPES = ("large", "medium", "small"), ("cube", "cylinder", "monkey", "sphere")


def make(folder: Path, scenes: int = 3, seed: int = 0, *, variant: str = "full", alpha: bool = False) -> Fake:
    """The tree of a variant, with some of the other pictures of each scene.

    Args:
        folder: where to put it.
        scenes: images.
        seed: of the random generator.
        variant: of the data set.
        alpha: whether images have a fourth channel.
    """
    rng = np.random.default_rng(seed)
    root = folder / f"clevrtex_{variant}"
    truth = []
    for index in range(scenes):
        count = int(rng.integers(3, 11))
        image, mask = draw(rng, (240, 320), count)
        stem = root / str(index // 1000) / f"CLEVRTEX_{variant}_{index:06d}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.dstack([image, np.full(mask.shape, 255, np.uint8)]) if alpha else image
        Image.fromarray(pixels).save(f"{stem}.png", compress_level=1)
        flat = Image.fromarray(mask)
        flat.putpalette(rng.integers(0, 256, 768).tolist())  # "P": pixels keep their indices
        flat.save(f"{stem}_flat.png")
        for other in ("depth", "albedo", "shadow", "normal"):
            Image.fromarray(mask[:8, :8]).save(f"{stem}_{other}_0001.png")
        objects = [_object(rng) for _ in range(count)]
        described = {"image_filename": f"{stem.name}.png", "ground_material": "PoliigonBricks01", "objects": objects}
        Path(f"{stem}.json").write_text(json.dumps(described))
        truth.append(Truth(image, mask, {}, "test" if variant == "outd" else _split(index, scenes)))
    return Fake("clevrtex", {"variant": variant}, root, truth)


def _split(index: int, scenes: int) -> str:
    """The authors' rule: the first tenth is test, the next tenth val, rounded down."""
    return "test" if index < int(0.1 * scenes) else "val" if index < int(0.2 * scenes) else "train"


def _object(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "size": str(rng.choice(_SIZES)),
        "shape": str(rng.choice(_SHAPES)),
        "material": "PoliigonBricksFlemishRed001",
        "rotation": float(rng.uniform(0, 360)),
        "3d_coords": rng.uniform(-3, 3, 3).tolist(),
        "pixel_coords": rng.uniform(0, 240, 3).tolist(),
    }


def mix(fake: Fake) -> Fake:
    """Replace a picture by one of another size."""
    Image.new("RGB", (64, 64)).save(next(fake.source.glob("*/*_000001.png")))
    return fake


def lone(folder: Path) -> tuple[Fake, Path, int]:
    """The middle of a picture."""
    fake = make(folder)
    path = next(fake.source.glob("*/*_000001.png"))
    return fake, path, path.stat().st_size // 2


def _mask(mask: Array) -> Callable[[Fake], None]:
    def write(fake: Fake) -> None:
        Image.fromarray(mask).save(next(fake.source.glob("*/*_000001_flat.png")))

    return write


HOSTILE = {
    "an index beyond all entities": _mask(np.full((240, 320), 200, np.uint8)),
    "a mask of another size": _mask(np.zeros((320, 240), np.uint8)),
    "a mask in colours": _mask(np.arange(240 * 320 * 3).reshape(240, 320, 3).astype(np.uint8)),
    "a picture of 3.6 gigapixels": lambda fake: save_bomb(next(fake.source.glob("*/*_000001.png"))),
    "a mask of 3.6 gigapixels": lambda fake: save_bomb(next(fake.source.glob("*/*_000001_flat.png"))),
}
