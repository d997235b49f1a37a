# SPDX-License-Identifier: Apache-2.0
# Part of a program that runs inside Blender's Python (GPL-3.0-or-later); Apache-2.0 is compatible with that licence.
"""The settings of a request, and CLEVR's vocabulary; the index of a name in its tuple is its published id."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

SIZES = ("none", "large", "small")
SHAPES = ("none", "sphere", "cylinder", "cube")
MATERIALS = ("none", "rubber", "metal")
COLORS = ("none", "red", "cyan", "green", "blue", "brown", "gray", "purple", "yellow")

# Published as 0..255; the renderer uses the fractions as linear light, like CLEVR's generator.
RGB = {
    "red": (173, 35, 35),
    "cyan": (41, 208, 208),
    "green": (29, 105, 20),
    "blue": (42, 75, 215),
    "brown": (129, 74, 25),
    "gray": (87, 87, 87),
    "purple": (129, 38, 192),
    "yellow": (255, 238, 51),
}
RADIUS = {"large": 0.7, "small": 0.35}  # metres; half the side of a cube is this divided by sqrt 2


@dataclass(frozen=True)
class Settings:
    """The settings of a scene and of its image; the defaults give CLEVR in the crop that the papers use.

    Attributes:
        min_objects, max_objects: bounds of the number of objects, which is uniformly distributed.
        view: ``"crop"``, the 192×192 crop of the published 320×240 view, or ``"full"``, that view.
        size: side of the cropped image in pixels.
        samples: light paths per pixel.
        denoise: whether OpenImageDenoise removes noise from the image.
        jitter: whether camera and lamps move from scene to scene.
        device: ``"cpu"`` or ``"gpu"``.
        threads: number of CPU threads, 0 for all.
        shapes, colors, materials, sizes: names to draw from; an empty list in a request means all.
    """

    min_objects: int = 3
    max_objects: int = 10
    view: str = "crop"
    size: int = 128
    samples: int = 16
    denoise: bool = True
    jitter: bool = True
    device: str = "cpu"
    threads: int = 0
    shapes: tuple[str, ...] = SHAPES[1:]
    colors: tuple[str, ...] = COLORS[1:]
    materials: tuple[str, ...] = MATERIALS[1:]
    sizes: tuple[str, ...] = SIZES[1:]

    def __post_init__(self) -> None:
        """Raise a ``ValueError`` that names the setting for a scene that cannot be rendered."""
        if not 1 <= self.min_objects <= self.max_objects <= 254:
            raise ValueError("1 <= min_objects <= max_objects <= 254 does not hold")
        if self.view not in ("crop", "full") or self.device not in ("cpu", "gpu"):
            raise ValueError(f"view {self.view!r} must be crop or full, device {self.device!r} cpu or gpu")
        if self.size < 1 or self.samples < 1 or self.threads < 0:
            raise ValueError("size and samples must be 1 or more, threads 0 or more")
        vocabulary = {"shapes": SHAPES, "colors": COLORS, "materials": MATERIALS, "sizes": SIZES}
        for name, known in vocabulary.items():
            chosen = getattr(self, name)
            if not chosen or not set(chosen) <= set(known[1:]):
                raise ValueError(f"{name} must be some of {', '.join(known[1:])}, not {', '.join(chosen)}")

    @property
    def resolution(self) -> tuple[int, int]:
        """Width and height of the image in pixels."""
        return (self.size, self.size) if self.view == "crop" else (320, 240)


def parse(values: dict[str, Any]) -> Settings:
    """Convert a JSON object to settings; raises a ``ValueError`` that names a wrong setting."""
    unknown = set(values) - {field.name for field in fields(Settings)}
    if unknown:
        raise ValueError(f"unknown setting {', '.join(sorted(unknown))}")
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if value != []
    }
    return Settings(**settings)
