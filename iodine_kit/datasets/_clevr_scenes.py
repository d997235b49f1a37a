"""What CLEVR's published ids mean: a class name's place in its tuple is its id; 0 is the background's and padding's."""

from __future__ import annotations

SIZES = ("none", "large", "small")
SHAPES = ("none", "sphere", "cylinder", "cube")
MATERIALS = ("none", "rubber", "metal")
COLOURS = ("none", "red", "cyan", "green", "blue", "brown", "gray", "purple", "yellow")
