"""Several named series with intervals in one frame: lines over a number, or one row for each of many names.

Series differ by colour and, for people who cannot distinguish colours, by the shape of their marks. Every colour has a
contrast of at least 3 : 1 to the page, and any two remain distinct in the three common kinds of colour blindness; tests
check both, in light and in dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from iodine_kit.formatting import number
from iodine_kit.records import Array
from iodine_kit.reporting.charts.axes import BOTTOM, RIGHT, TOP, WIDTH, Axis, Frame, axis_over, drawable
from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.templating import fill

LIGHT = ("5b3a9e", "d57311", "259bbe", "972309", "1e1551")
DARK = ("bda3f5", "ef880e", "5952f9", "b53476", "f3fb9a")
"""Colours of the series on a light and on a dark page."""

_LETTER, _ROW, _CAP = 6.3, 19, 3.5
"""Width of a letter, height of a row and half the width of an error bar's cap, in units of the drawing."""
_MARK, _FAINT_MARK = 3.4, 2.2


@dataclass(frozen=True)
class Series:
    """One series.

    Attributes:
        name: its entry in the legend; "" for no entry.
        x: ``float[n]`` ascending; in a row plot, the row of each point.
        y: ``float[n]``; values that are not finite are not drawn.
        low, high: ends of the intervals, ``float[n]``, or empty; an interval with an end that is not finite is omitted.
        line: whether the points are joined.
        faint: whether the marks are small and pale, for single values of which another series is the mean.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    line: bool = True
    faint: bool = False


@dataclass(frozen=True)
class RowFrame(Frame):
    """A frame with one row for each name, and space for the names on the left."""

    left: int = 0
    height: int = 0

    def across(self, x: float) -> float:
        """Position of a value of the horizontal axis."""
        return round(self.left + self.horizontal.position(x) * (WIDTH - self.left - RIGHT), 1)

    def down(self, y: float) -> float:
        """Position of a row."""
        return round(self.height - BOTTOM - self.vertical.position(y) * (self.height - TOP - BOTTOM), 1)

    def fields(self) -> dict[str, Any]:
        """As those of :class:`Frame`, with the frame's own size."""
        own = {"left": self.left, "height": self.height, "floor": self.height - BOTTOM}
        return {**super().fields(), **own}


def interval_series(means: Sequence[tuple[float | None, tuple[float, float] | None]]) -> Series:
    """Means with their intervals as points without a line, one above the other; a mean is its own missing interval."""
    known = [(mean, ends or (mean, mean)) for mean, ends in means if mean is not None]
    lows, highs = [low for _, (low, _) in known], [high for _, (_, high) in known]
    return Series("", range(len(known)), [mean for mean, _ in known], lows, highs, line=False)


def series_plot(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    unit: str = "",
    at: tuple[float, str] | None = None,
    zero: bool = False,
) -> Plot | None:
    """Lines over a number; ``None`` if nothing can be drawn.

    Args:
        at: a value of x to mark with a vertical line, and its label.
        zero: whether the axis of y includes 0.
    """
    given = [one for one in map(_drawable_part, series) if one.y]
    if not given:
        return None
    xs = _concatenated(one.x for one in given)
    ys = _values(given, zero)
    span = np.append(xs, at[0]) if at else xs
    frame = Frame(_padded(axis_over(span, whole=bool((span % 1 == 0).all()))), axis_over(ys, round_ends=True))
    parts = [_line_part(index, one, frame, x_label) for index, one in enumerate(given)]
    marked = {"x": frame.across(at[0]), "top": TOP - 4, "text": at[1]} if at else None
    return _plot(frame, parts, given, title=title, x_label=x_label, unit=unit, upright=marked)


def rows_plot(
    names: Sequence[str],
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    unit: str = "",
    at: tuple[float, str] | None = None,
) -> Plot | None:
    """Points with horizontal intervals, one row for each name; ``None`` if nothing can be drawn.

    Args:
        names: of the rows, from top to bottom.
        series: their ``x`` are indices of ``names``.
        at: a value to mark with a vertical line, and its label.
    """
    given = [one for one in map(_drawable_part, series) if one.y]
    if not given:
        return None
    values = np.append(_values(given, False), [at[0]] if at else [])
    left = round(16 + _LETTER * max(map(len, names)))
    spare = 1 if at else 0  # a row for the label of the mark
    vertical = Axis(
        -0.5 - spare, len(names) - 0.5, tuple((len(names) - 1.0 - row, name) for row, name in enumerate(names))
    )  # the first name is at the top
    frame = RowFrame(_padded(axis_over(values)), vertical, left=left, height=TOP + BOTTOM + _ROW * (len(names) + spare))
    parts = [_row_part(index, one, frame, names) for index, one in enumerate(given)]
    marked = {"x": frame.across(at[0]), "top": TOP - 4, "text": at[1]} if at else None
    return _plot(frame, parts, given, title=title, x_label=x_label, unit=unit, upright=marked)


def _plot(
    frame: Frame,
    parts: list[dict[str, Any]],
    series: Sequence[Series],
    *,
    upright: Any,
    title: str,
    x_label: str,
    unit: str,
) -> Plot:
    box = frame.fields()
    legend, x = [], float(box["left"])
    for index, one in enumerate(series):
        if one.name:
            legend.append({"index": _style(index), "x": x + 5, "mark": mark_path(index, x + 5, 5), "text": one.name})
            x += 22 + _LETTER * len(one.name)
    overlay = fill("series.svg", parts=parts, legend=legend, upright=upright, floor=box["floor"], right=box["right"])
    first = series[0]
    summary = f"{title}: {first.name or 'values'} from {number(first.y[0])} to {number(first.y[-1])}"
    return Plot(
        frame=frame, curves=(), note="", summary=summary, overlay=overlay, title=title, x_label=x_label, unit=unit
    )


def _line_part(index: int, one: Series, frame: Frame, x_label: str) -> dict[str, Any]:
    """A series in a frame whose y is its value."""
    points = [(frame.across(x), frame.down(y)) for x, y in zip(one.x, one.y, strict=True)]
    bars = []
    for row, (low, high) in enumerate(zip(one.low, one.high, strict=True)):
        if np.isfinite([low, high]).all():
            x, bottom, top = points[row][0], frame.down(low), frame.down(high)
            bars.append(f"M{x} {bottom}V{top}M{x - _CAP} {bottom}h{2 * _CAP}M{x - _CAP} {top}h{2 * _CAP}")
    tips = [f"{x_label} {x:g}: {_tip(one, row)}" for row, x in enumerate(one.x)]
    return _placed(index, one, points, bars, tips)


def _row_part(index: int, one: Series, frame: Frame, names: Sequence[str]) -> dict[str, Any]:
    """A series in a frame of rows, whose x is its value."""
    points = [(frame.across(y), frame.down(len(names) - 1 - row)) for row, y in zip(one.x, one.y, strict=True)]
    bars = []
    for row, (low, high) in enumerate(zip(one.low, one.high, strict=True)):
        if np.isfinite([low, high]).all():
            y, start, end = points[row][1], frame.across(low), frame.across(high)
            bars.append(f"M{start} {y}H{end}M{start} {y - _CAP}v{2 * _CAP}M{end} {y - _CAP}v{2 * _CAP}")
    tips = [f"{names[int(row)]}: {_tip(one, place)}" for place, row in enumerate(one.x)]
    return _placed(index, one, points, bars, tips)


def _placed(
    index: int, one: Series, points: list[tuple[float, float]], bars: list[str], tips: list[str]
) -> dict[str, Any]:
    size = _FAINT_MARK if one.faint else _MARK
    marks = [(mark_path(index, x, y, size), tip) for (x, y), tip in zip(points, tips, strict=True)]
    line = points if one.line and len(points) > 1 else []
    return {"index": _style(index), "line": line, "bars": bars, "marks": marks, "faint": one.faint}


def _tip(one: Series, row: int) -> str:
    name = f"{one.name} " if one.name else ""
    if row < len(one.low) and np.isfinite([one.low[row], one.high[row]]).all():
        return f"{name}{number(one.y[row])} ({number(one.low[row])} to {number(one.high[row])})"
    return f"{name}{number(one.y[row])}"


def _drawable_part(one: Series) -> Series:
    """The series without the points that cannot be drawn."""
    good = np.flatnonzero(drawable(np.asarray(one.y, np.float64)))

    def pick(values: Sequence[float]) -> tuple[float, ...]:
        return tuple(float(values[int(i)]) for i in good) if len(values) else ()

    return Series(one.name, pick(one.x), pick(one.y), pick(one.low), pick(one.high), one.line, one.faint)


def _values(series: Sequence[Series], zero: bool) -> Array:
    """All values that the axis must span."""
    values = _concatenated(part for one in series for part in (one.y, one.low, one.high))
    good = values[drawable(values)]
    return np.append(good, 0.0) if zero else good


def _concatenated(parts: Any) -> Array:
    return np.array([value for part in parts for value in part], np.float64)


def _padded(axis: Axis) -> Axis:
    """The same axis with a small margin at both ends, so that no mark is cut off."""
    room = 0.03 * (axis.high - axis.low)
    return Axis(axis.low - room, axis.high + room, axis.ticks)


def series_css(dark: bool = False) -> Markup:
    """CSS rules for the colours of the series, which a file without a page needs too."""
    rules = [f".s{index} {{ stroke: #{code}; color: #{code}; }}" for index, code in enumerate(DARK if dark else LIGHT)]
    return Markup("\n".join(rules))


def mark_path(index: int, x: float, y: float, size: float = _MARK) -> str:
    """The mark of a series at a point as an SVG path: circle, square, triangle, diamond, inverted triangle, in turn."""
    wide, tall = round(size * 1.25, 1), round(size * 1.4, 1)
    shapes = (
        f"M{x - size:.1f} {y:.1f}a{size} {size} 0 1 0 {2 * size:.1f} 0a{size} {size} 0 1 0 {-2 * size:.1f} 0z",
        f"M{x - size:.1f} {y - size:.1f}h{2 * size:.1f}v{2 * size:.1f}h{-2 * size:.1f}z",
        f"M{x:.1f} {y - tall:.1f}l{wide} {2 * tall - 1:.1f}h{-2 * wide:.1f}z",
        f"M{x:.1f} {y - tall:.1f}l{tall} {tall}l{-tall} {tall}l{-tall} {-tall}z",
        f"M{x:.1f} {y + tall:.1f}l{wide} {1 - 2 * tall:.1f}h{-2 * wide:.1f}z",
    )
    return shapes[index % len(shapes)]


def _style(index: int) -> int:
    return index % len(LIGHT)
