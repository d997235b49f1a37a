"""One axis of a chart: which values it spans, where a value lies on it and where its ticks are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from iodine_kit.formatting import raised
from iodine_kit.records import Array

# Beyond it the difference of two finite numbers may not be finite.
_LARGEST = 1e300


def drawable(values: Array) -> Array:
    """Which values have a place on an axis, ``bool[n]``: NaN and infinities have none."""
    with np.errstate(invalid="ignore"):
        result: Array = np.isfinite(values) & (np.abs(values) < _LARGEST)
    return result


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high``, evenly or by their logarithm, with ticks as (value, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high end."""
        if self.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)


def axis_over(values: Array, *, log: bool = False, whole: bool = False, round_ends: bool = False) -> Axis:
    """Axis that holds all of ``values float[n]``, n ≥ 1, drawable and, for ``log``, positive.

    With ``log`` it is logarithmic if the values span more than a factor of a hundred. ``whole`` keeps
    the ticks at whole numbers; with ``round_ends`` an even axis starts and ends with a tick.
    """
    low, high = float(values.min()), float(values.max())
    if log and low > 0 and high / low > 100:
        return _log_axis(low, high)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        # A constant: give it room, so that it lies in the middle.
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    step = _step(high - low, whole)
    first, last = (math.floor, math.ceil) if round_ends else (math.ceil, math.floor)
    # Rounding must not lose a tick that lies on an end, nor add one beyond it.
    slack = 1e-9 if round_ends else -1e-9
    ticks = [index * step for index in range(first(low / step + slack), last(high / step - slack) + 1)]
    if round_ends:
        low, high = min(low, ticks[0]), max(high, ticks[-1])
    return Axis(low, high, tuple((tick, _label(tick, step, max(abs(low), abs(high)))) for tick in ticks))


def _log_axis(low: float, high: float) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, (last - first) // 5)
    exponents = [e for e in range(first, last + 1, stride) if low <= 10.0**e <= high]
    return Axis(low, high, tuple((10.0**e, f"10{raised(e)}") for e in exponents), log=True)


def _step(span: float, whole: bool) -> float:
    """Between ticks: 1, 2, 2.5 or 5 times a power of ten, so that there are about five; 1 for few whole numbers."""
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
    # Relative to the step: a step far below the values is no whole number just because it is next to nothing.
    decimals = next(d for d in range(16) if abs(step * 10**d - round(step * 10**d)) < 1e-6 * step * 10**d or d == 15)
    text = f"{value / unit:,.{decimals}f}"
    return text.replace("-", "−") + (suffix if value else "")
