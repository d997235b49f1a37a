"""The axes of a chart: the values that they span, their ticks, and the positions of values in the drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from iodine_kit.formatting import raised
from iodine_kit.records import Array

WIDTH, HEIGHT = 420, 220
"""Size of a chart, in units of the drawing."""
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 18, 36
"""Margins around the box of the axes."""

# The difference of two larger finite numbers may not be finite.
_LARGEST = 1e300

Point = tuple[float, float]
"""A position in the drawing, whose y points down."""


def drawable(values: Array) -> Array:
    """Which values have a position on an axis, ``bool[n]``; NaN and infinities do not."""
    with np.errstate(invalid="ignore"):
        result: Array = np.isfinite(values) & (np.abs(values) < _LARGEST)
    return result


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis from ``low`` to ``high``, with ticks as (value, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def position(self, value: float) -> float:
        """Relative position of a value: 0 at the low end, 1 at the high end."""
        if self.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)


def axis_over(values: Array, *, log: bool = False, whole: bool = False, round_ends: bool = False) -> Axis:
    """An axis that spans ``values``.

    Args:
        values: ``float[n]``, n ≥ 1, all drawable.
        log: make the axis logarithmic if the values are positive and span more than a factor of 100.
        whole: put ticks only at whole numbers.
        round_ends: start and end a linear axis with a tick.
    """
    low, high = float(values.min()), float(values.max())
    if log and low > 0 and high / low > 100:
        return _log_axis(low, high)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        # All values are equal: add room, so that they are in the middle.
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    step = _step(high - low, whole)
    first, last = (math.floor, math.ceil) if round_ends else (math.ceil, math.floor)
    # Rounding must neither omit a tick at an end nor add one beyond it.
    slack = 1e-9 if round_ends else -1e-9
    ticks = [index * step for index in range(first(low / step + slack), last(high / step - slack) + 1)]
    if round_ends:
        low, high = min(low, ticks[0]), max(high, ticks[-1])
    return Axis(low, high, tuple((tick, _label(tick, step, max(abs(low), abs(high)))) for tick in ticks))


@dataclass(frozen=True)
class Frame:
    """The box of a chart: two axes and their position in the drawing."""

    horizontal: Axis
    vertical: Axis

    def across(self, x: float) -> float:
        """Position of a value of the horizontal axis."""
        return round(LEFT + self.horizontal.position(x) * (WIDTH - LEFT - RIGHT), 1)

    def down(self, y: float) -> float:
        """Position of a value of the vertical axis."""
        return round(HEIGHT - BOTTOM - self.vertical.position(y) * (HEIGHT - TOP - BOTTOM), 1)

    def fields(self) -> dict[str, Any]:
        """What the templates need to draw the box; ticks as (position, label)."""
        return {
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "floor": HEIGHT - BOTTOM,
            "columns": [(self.across(value), label) for value, label in self.horizontal.ticks],
            "rows": [(self.down(value), label) for value, label in self.vertical.ticks],
        }


def _log_axis(low: float, high: float) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, (last - first) // 5)
    exponents = [e for e in range(first, last + 1, stride) if low <= 10.0**e <= high]
    return Axis(low, high, tuple((10.0**e, f"10{raised(e)}") for e in exponents), log=True)


def _step(span: float, whole: bool) -> float:
    """Distance of ticks: 1, 2, 2.5 or 5 times a power of ten, for about five ticks; 1 for few whole numbers."""
    if whole and span <= 10:
        return 1.0
    rough = max(span / 4, 1.0) if whole else span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= rough * 0.999), 10 * power)


def _label(value: float, step: float, largest: float) -> str:
    if largest >= 1e9 or largest < 1e-4:
        return f"{value:.2g}".replace("-", "−")
    unit, suffix = (1e6, "M") if largest >= 1e6 else (1e3, "k") if largest >= 1e4 else (1.0, "")
    step /= unit
    # The tolerance is relative to the step: a tiny step is not a whole number because it is close to 0.
    decimals = next(d for d in range(16) if abs(step * 10**d - round(step * 10**d)) < 1e-6 * step * 10**d or d == 15)
    text = f"{value / unit:,.{decimals}f}"
    return text.replace("-", "−") + (suffix if value else "")
