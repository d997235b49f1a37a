"""Numbers as people read them. NaN is *undefined*, never zero and never blank."""

from __future__ import annotations

import json
import math
from typing import Any

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def raised(exponent: int) -> str:
    """An exponent in superior figures: −4 is ``"⁻⁴"``."""
    return str(exponent).translate(_RAISED)


def number(value: float) -> str:
    """About four significant figures: ``"0.9923"``, ``"4.12 × 10⁻⁵"``, ``"12,345"``, ``"undefined"``."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa} × 10{raised(int(exponent))}"
    else:
        text = f"{value:,.{_decimals(size)}f}"
    return text.replace("-", "−")


def _decimals(size: float) -> int:
    """Four decimals for scores, which are compared; fewer for what is large."""
    return next((decimals for limit, decimals in ((1e3, 0), (1e2, 1), (10, 2)) if size >= limit), 4)


def spread(mean: float, std: float) -> str:
    """``"0.9923 ± 0.0101"``; without a finite deviation only the mean."""
    return f"{number(mean)} ± {number(std)}" if math.isfinite(mean) and math.isfinite(std) else number(mean)


def count(value: int) -> str:
    """A whole number, grouped by thousands."""
    return f"{value:,}"


def setting(value: Any) -> str:
    """A configuration value on one line: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def span(ends: tuple[float, float] | None) -> str:
    """An interval with as many decimals at both ends: ``"0.9902 to 0.9941"``; ``"–"`` for none."""
    if ends is None or not (math.isfinite(ends[0]) and math.isfinite(ends[1])):
        return "–"
    low, high = (number(end) for end in ends)
    decimals = {len(text.partition(".")[2]) for text in (low, high)}
    if len(decimals) > 1 and not any("×" in text for text in (low, high)):
        low, high = (f"{end:,.{min(decimals)}f}".replace("-", "−") for end in ends)
    return f"{low} to {high}"
