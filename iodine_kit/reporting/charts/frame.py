"""The box that a chart is drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iodine_kit.reporting.charts.axes import Axis

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 18, 36

Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """Two axes and where they lie in the picture, whose y runs downwards."""

    horizontal: Axis
    vertical: Axis

    def across(self, x: float) -> float:
        """Place of a value of the horizontal axis."""
        return round(LEFT + self.horizontal.place(x) * (WIDTH - LEFT - RIGHT), 1)

    def down(self, y: float) -> float:
        """Place of a value of the vertical axis."""
        return round(HEIGHT - BOTTOM - self.vertical.place(y) * (HEIGHT - TOP - BOTTOM), 1)

    def fields(self) -> dict[str, Any]:
        """What the templates need to draw the box, with the ticks as (place, label)."""
        return {
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "floor": HEIGHT - BOTTOM,
            "columns": [(self.across(value), label) for value, label in self.horizontal.ticks],
            "rows": [(self.down(value), label) for value, label in self.vertical.ticks],
        }
