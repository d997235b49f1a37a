"""Several named series with intervals on one frame: lines over a number, or one row for each of many names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iodine_kit.formatting import number
from iodine_kit.records import Array
from iodine_kit.reporting.charts.axes import Axis, axis_over, drawable
from iodine_kit.reporting.charts.frame import BOTTOM, RIGHT, TOP, WIDTH, Frame
from iodine_kit.reporting.charts.marks import LIGHT, mark_path
from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.templating import fill

_LETTER, _ROW, _CAP = 6.3, 19, 3.5
"""Width of a letter, height of a row and half of an error bar's cap, as in the drawing's own unit."""


@dataclass(frozen=True)
class Series:
    """One series.

    Attributes:
        name: for the legend; "" has no entry in it.
        x: ``float[n]`` ascending, or for rows the number of each point's row.
        y: ``float[n]``; what is not finite is not drawn.
        low, high: ends of the intervals, ``float[n]``, or empty; an end that is not finite leaves its bar out.
        line: whether the points are joined.
        faint: whether it is drawn small and pale: what others are the summary of.
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
    """A frame with room for names to its left, and a row's height for each of them."""

    left: int = 0
    height: int = 0

    def across(self, x: float) -> float:
        return round(self.left + self.horizontal.place(x) * (WIDTH - self.left - RIGHT), 1)

    def down(self, y: float) -> float:
        return round(self.height - BOTTOM - self.vertical.place(y) * (self.height - TOP - BOTTOM), 1)

    def fields(self) -> dict[str, Any]:
        own = {"left": self.left, "height": self.height, "floor": self.height - BOTTOM}
        return {**super().fields(), **own}


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
        at: a value of x to mark by an upright line, and what it is.
        zero: whether the axis of y has 0.
    """
    given = [one for one in map(_drawn, series) if one.y]
    if not given:
        return None
    xs = _joined(one.x for one in given)
    ys = _heights(given, zero)
    span = np.append(xs, at[0]) if at else xs
    frame = Frame(_with_room(axis_over(span, whole=bool((span % 1 == 0).all()))), axis_over(ys, round_ends=True))
    parts = [_part(index, one, frame, x_label) for index, one in enumerate(given)]
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
    """Points with intervals from left to right, a row for each name; a series' ``x`` are numbers of rows.

    Args:
        at: a value to mark by an upright line, and what it is.
    """
    given = [one for one in map(_drawn, series) if one.y]
    if not given:
        return None
    values = np.append(_heights(given, False), [at[0]] if at else [])
    left = round(16 + _LETTER * max(map(len, names)))
    spare = 1 if at else 0  # a row for the mark's words
    vertical = Axis(
        -0.5 - spare, len(names) - 0.5, tuple((len(names) - 1.0 - row, name) for row, name in enumerate(names))
    )  # the first on top
    frame = RowFrame(
        _with_room(axis_over(values)), vertical, left=left, height=TOP + BOTTOM + _ROW * (len(names) + spare)
    )
    parts = [_lying(index, one, frame, names) for index, one in enumerate(given)]
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


def _part(index: int, one: Series, frame: Frame, x_label: str) -> dict[str, Any]:
    """Where a series lies in a frame whose y is its value."""
    points = [(frame.across(x), frame.down(y)) for x, y in zip(one.x, one.y, strict=True)]
    bars = []
    for row, (low, high) in enumerate(zip(one.low, one.high, strict=True)):
        if np.isfinite([low, high]).all():
            x, bottom, top = points[row][0], frame.down(low), frame.down(high)
            bars.append(f"M{x} {bottom}V{top}M{x - _CAP} {bottom}h{2 * _CAP}M{x - _CAP} {top}h{2 * _CAP}")
    tips = [f"{x_label} {x:g}: {_told(one, row)}" for row, x in enumerate(one.x)]
    return _placed(index, one, points, bars, tips)


def _lying(index: int, one: Series, frame: Frame, names: Sequence[str]) -> dict[str, Any]:
    """Where a series lies in a frame of rows, whose x is its value."""
    points = [(frame.across(y), frame.down(len(names) - 1 - row)) for row, y in zip(one.x, one.y, strict=True)]
    bars = []
    for row, (low, high) in enumerate(zip(one.low, one.high, strict=True)):
        if np.isfinite([low, high]).all():
            y, start, end = points[row][1], frame.across(low), frame.across(high)
            bars.append(f"M{start} {y}H{end}M{start} {y - _CAP}v{2 * _CAP}M{end} {y - _CAP}v{2 * _CAP}")
    tips = [f"{names[int(row)]}: {_told(one, place)}" for place, row in enumerate(one.x)]
    return _placed(index, one, points, bars, tips)


def _placed(
    index: int, one: Series, points: list[tuple[float, float]], bars: list[str], tips: list[str]
) -> dict[str, Any]:
    size = 2.2 if one.faint else 3.4
    marks = [(mark_path(index, x, y, size), tip) for (x, y), tip in zip(points, tips, strict=True)]
    line = points if one.line and len(points) > 1 else []
    return {"index": _style(index), "line": line, "bars": bars, "marks": marks, "faint": one.faint}


def _told(one: Series, row: int) -> str:
    name = f"{one.name} " if one.name else ""
    if row < len(one.low) and np.isfinite([one.low[row], one.high[row]]).all():
        return f"{name}{number(one.y[row])} ({number(one.low[row])} to {number(one.high[row])})"
    return f"{name}{number(one.y[row])}"


def _drawn(one: Series) -> Series:
    """Without the points that have no place."""
    good = np.flatnonzero(drawable(np.asarray(one.y, np.float64)))

    def pick(values: Sequence[float]) -> tuple[float, ...]:
        return tuple(float(values[int(i)]) for i in good) if len(values) else ()

    return Series(one.name, pick(one.x), pick(one.y), pick(one.low), pick(one.high), one.line, one.faint)


def _heights(series: Sequence[Series], zero: bool) -> Array:
    """All values that the axis has to hold."""
    values = _joined(part for one in series for part in (one.y, one.low, one.high))
    good = values[drawable(values)]
    return np.append(good, 0.0) if zero else good


def _joined(parts: Any) -> Array:
    return np.array([value for part in parts for value in part], np.float64)


def _with_room(axis: Axis) -> Axis:
    """The same axis with a little room at both ends, so that no mark is cut off."""
    room = 0.03 * (axis.high - axis.low)
    return Axis(axis.low - room, axis.high + room, axis.ticks)


def _style(index: int) -> int:
    return index % len(LIGHT)
