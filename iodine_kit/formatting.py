"""Numbers as text: one spelling for tables, pages, the command line and messages.

A mean that does not exist is ``"undefined"`` where it is the subject, and a dash in a table; it is never zero or blank.
The minus sign is ``−``, and thousands are separated by commas.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

DASH = "–"
"""Stands for a value that does not exist."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """About four significant digits: ``"0.9923"``, ``"4.12 × 10⁻⁵"``, ``"12,345"``, ``"undefined"``."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-3:
        return _scientific(value)
    return fixed(value, _decimals(size))


def short_number(value: float) -> str:
    """Three significant digits or a few more: ``"4"``, ``"3.52"``, ``"21.4"``, ``"1,204"``; a dash if not finite."""
    if not math.isfinite(value):
        return DASH
    size = abs(value)
    if value == round(value) and size < 1e9:
        return fixed(value, 0)
    if not 0.01 <= size < 1e9:
        return number(value)
    return fixed(value, 0 if size >= 1000 else 1 if size >= 10 else 2)


def fixed(value: float, decimals: int) -> str:
    """A finite number with so many decimals; a value that rounds to zero has no sign."""
    return _minus(f"{round(value, decimals) + 0.0:,.{decimals}f}")


def alike(values: Sequence[float]) -> list[str]:
    """Numbers of one cell in one notation: with the decimals that the largest asks for.

    They have more decimals, at most six, if a value would be shown as 0; and powers of ten if the largest has one.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    largest = max(sizes, default=0.0)
    if not sizes or largest >= 1e9 or largest < 1e-3:
        return [_scientific(value) if math.isfinite(value) and value else number(value) for value in values]
    first = _decimals(largest)
    enough = [count_ for count_ in range(first, 7) if all(round(size, count_) for size in sizes)]
    decimals = enough[0] if enough else 6
    return [fixed(value, decimals) if math.isfinite(value) else number(value) for value in values]


def interval(ends: Sequence[float] | None) -> str:
    """``"[0.9902, 0.9941]"``, with as many decimals as the end farther from 0 asks for; a dash if there is none."""
    if ends is None:
        return DASH
    low, high = ends
    farther = number(max(low, high, key=abs))
    if math.isnan(low + high) or not farther[-1].isdecimal() or "×" in farther:
        return f"[{number(low)}, {number(high)}]"
    decimals = len(farther.partition(".")[2])
    return f"[{fixed(low, decimals)}, {fixed(high, decimals)}]"


def estimated(mean: float | None, ends: Sequence[float] | None, sd: float | None = None) -> str:
    """``"0.9000 ± 0.0100 [0.8800, 0.9200]"``: a mean with its standard deviation and interval, if it has them."""
    if mean is None:
        return DASH
    shown = alike([mean, *([] if sd is None else [sd]), *(ends or ())])
    spread_ = "" if sd is None else f" ± {shown[1]}"
    return f"{shown[0]}{spread_}" + (f" [{shown[-2]}, {shown[-1]}]" if ends else "")


def spread(mean: float, std: float) -> str:
    """``"0.9923 ± 0.0101"``; only the mean if the deviation is not finite."""
    return " ± ".join(alike([mean, std])) if math.isfinite(mean) and math.isfinite(std) else number(mean)


def value_range(low: float, high: float) -> str:
    """The least and the greatest of some values, ``"2 to 5"``; one number if they are equal."""
    return (
        short_number(low) if low == high or not math.isfinite(low) else f"{short_number(low)} to {short_number(high)}"
    )


def percent(share: float) -> str:
    """A share as ``"75.5 %"``; a share above 0 is never shown as 0, and a dash stands for one that is not finite."""
    if not math.isfinite(share):
        return DASH
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def count(value: int) -> str:
    """A whole number, its thousands separated."""
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    """A number of things whose plural ends in s: ``"1 step"``, ``"2,000 steps"``."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def byte_size(size: float) -> str:
    """Bytes by powers of 1,000, in three significant digits or fewer: ``"512 B"``, ``"1.2 MB"``, ``"840 MB"``."""
    if not math.isfinite(size):
        return DASH
    unit = 0
    while size >= 999.5 and unit < 4:
        size, unit = size / 1000, unit + 1
    return f"{size:,.{0 if unit == 0 or size >= 99.95 else 1}f} {('B', 'kB', 'MB', 'GB', 'TB')[unit]}"


def duration(seconds: float | None) -> str:
    """``"0:12:31"``, ``"2 days, 1:00:00"``; a dash if it is unknown."""
    if seconds is None or not 0 <= seconds < 1e9:
        return DASH
    return str(timedelta(seconds=round(seconds)))


def duration_range(ends: Sequence[float] | None) -> str:
    """A range of time in one unit: ``"20 to 70 s"``, ``"3 to 9 min"``, ``"2 to 6 h"``; a dash if it is unknown."""
    if ends is None or not all(math.isfinite(end) for end in ends):
        return DASH
    units = (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
    unit, seconds = next(((unit, seconds) for unit, seconds in units if ends[1] >= 2 * seconds), units[-1])
    texts = [f"{end / seconds:.1f}" if end < 9.95 * seconds else f"{end / seconds:,.0f}" for end in ends]
    shown = [text.removesuffix(".0") for text in texts]
    return f"{shown[0]} {unit}" if shown[0] == shown[1] else f"{shown[0]} to {shown[1]} {unit}"


def age(seconds: float) -> str:
    """How long ago, in the largest unit that fits: ``"12 days"``, ``"3 h"``, ``"5 min"``."""
    minutes = max(0, int(seconds // 60)) if math.isfinite(seconds) else 0
    if minutes >= 48 * 60:
        return f"{minutes // (24 * 60):,} days"
    return f"{minutes // 60} h" if minutes >= 120 else f"{minutes} min"


def setting(value: Any) -> str:
    """A configuration value on one line: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def raised(exponent: int) -> str:
    """An exponent in superscript: −4 is ``"⁻⁴"``."""
    return str(exponent).translate(_RAISED)


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return _minus(f"{mantissa} × 10{raised(int(exponent))}")


def _decimals(size: float) -> int:
    """Four decimals for scores, which are compared; fewer for large numbers."""
    return next((decimals for limit, decimals in ((1e3, 0), (1e2, 1), (10, 2)) if size >= limit), 4)


def _minus(text: str) -> str:
    return text.replace("-", "−")
