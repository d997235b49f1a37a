"""Numbers, bars and curves in characters, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

_LEVELS, _ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
_EIGHTHS = "▏▎▍▌▋▊▉█"


def number(value: object) -> str:
    """About four significant digits in ASCII; ``–`` for what is no number, ``nan`` and ``inf`` as such."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–"
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:{_form(size)}}"


def number_column(values: Sequence[float]) -> list[str]:
    """Numbers of one column, all with as many decimals as the largest."""
    form = _form(max((abs(value) for value in values if math.isfinite(value)), default=0.0))
    return [f"{value:{form}}" for value in values]


def _form(size: float) -> str:
    if size >= 1e9 or 0 < size < 1e-3:
        return ".2e"
    return f",.{1 if size >= 1e2 else 2 if size >= 10 else 4}f"


def floats(values: object) -> list[float]:
    """A list from a row of the log; empty if it is missing or no list, with NaN for elements that are no numbers."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return []
    return [float(value) if isinstance(value, int | float) else math.nan for value in values]


def shares(values: Sequence[float], *, base: float | None = None) -> list[float]:
    """Every value's position between ``base``, by default the smallest value, and the largest: 0 to 1, or NaN."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    low = low if base is None else base
    span = high / 2 - low / 2  # halves: the difference of two finite numbers may not be finite
    return [
        math.nan if not math.isfinite(value) else min(max((value / 2 - low / 2) / span, 0.0), 1.0) if span > 0 else 0.0
        for value in values
    ]


def bar(share: float, width: int, *, ascii_only: bool = False) -> str:
    """A bar of ``share`` of ``width`` characters; it is never empty, unless ``share`` is not finite."""
    if not math.isfinite(share):
        return ""
    if ascii_only:
        return "#" * max(round(share * width), 1)
    full, eighths = divmod(max(round(share * width * 8), 1), 8)
    return "█" * full + (_EIGHTHS[eighths - 1] if eighths else "")


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """A curve of at most ``width`` characters; ``×`` marks a value that is not finite.

    More values than characters are averaged. Positive values over a wide range are drawn by their logarithm.
    """
    columns = min(width, len(values))
    means = [mean(values[i * len(values) // columns : (i + 1) * len(values) // columns]) for i in range(columns)]
    finite = [value for value in means if math.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) / min(finite) > 10:
        means = [math.log(value) if math.isfinite(value) else value for value in means]
    levels, gap = (_ASCII_LEVELS, "x") if ascii_only else (_LEVELS, "×")
    top = len(levels) - 1
    return "".join(levels[round(share * top)] if math.isfinite(share) else gap for share in shares(means))


def mean(values: Sequence[float]) -> float:
    """Mean of the finite values; NaN if there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(value / len(finite) for value in finite) if finite else math.nan
