"""Curves in a frame: where their points lie, before it is decided what they are drawn into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from markupsafe import Markup

from iodine_kit.formatting import number
from iodine_kit.records import Array
from iodine_kit.reporting.charts.axes import axis_over, drawable
from iodine_kit.reporting.charts.frame import BOTTOM, HEIGHT, RIGHT, WIDTH, Frame, Point

MOST_POINTS = 400
_MOST_MARKS = 30
_MOST_SWATCHES, _SWATCH, _PALEST = 12, 12, 0.25

Label = tuple[float, float, str, str]
"""A text: x, y, anchor, what it says."""


@dataclass(frozen=True)
class Curve:
    """One curve in pieces, between which lies what is not finite, and its points with tips where they are few."""

    paths: Sequence[Sequence[Point]]
    opacity: float
    dots: Sequence[tuple[Point, str]]


@dataclass(frozen=True)
class Plot:
    """Curves with all that is written about them, as the templates need it.

    Attributes:
        ends: values written beside points.
        swatches: pieces of line as (x, opacity) that show which curve is which, between two ``names``.
        summary: the picture in words.
        overlay: more to draw in the frame, as SVG; see :mod:`~iodine_kit.reporting.charts.series`.
    """

    frame: Frame
    title: str
    unit: str
    x_label: str
    curves: Sequence[Curve]
    note: str
    summary: str
    ends: Sequence[Label] = ()
    swatches: Sequence[tuple[float, float]] = ()
    names: Sequence[Label] = ()
    overlay: Markup | str = ""


def plot(
    x: Sequence[float] | Array,
    y: Sequence[float] | Array,
    *,
    title: str,
    x_label: str,
    unit: str,
    log: bool = True,
    zero: bool = False,
) -> Plot | None:
    """A curve of ``y float[n]`` over ``x float[n]``, ascending; ``None`` if no point is finite.

    A value that is not finite interrupts the curve, and the plot tells how many there are. With ``log``, positive
    values over a wide range have a logarithmic axis; with ``zero``, the axis has 0. More than 400 points are thinned
    by :func:`thin`; where that may happen, tell so.
    """
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    drawn = _draw(xs, ys[None], title, x_label, unit, log, zero)
    if drawn is None or len(xs) > _MOST_MARKS:
        return drawn
    points = [point for point, _ in drawn.curves[0].dots]
    return replace(drawn, ends=_end_labels(points, ys[drawable(xs) & drawable(ys)]))


def family(x: Array, y: Array, *, title: str, x_label: str, unit: str, name: str, log: bool = True) -> Plot | None:
    """A curve for each row of ``y float[S, n]``, pale for the first and full for the last, on one axis; as ``plot``."""
    drawn = _draw(x, y, title, x_label, unit, log)
    if drawn is None or len(y) == 1:
        return drawn
    count = min(len(y), _MOST_SWATCHES)
    last = str(len(y) - 1)
    end = WIDTH - RIGHT - 7 * len(last) - 5
    swatches = [(end - _SWATCH * (count - i), _opacity(i, count)) for i in range(count)]
    names: list[Label] = [(WIDTH - RIGHT, 8, "end", last), (swatches[0][0] - 5, 8, "end", f"{name} 0")]
    return replace(drawn, swatches=swatches, names=names)


def _draw(xs: Array, ys: Array, title: str, x_label: str, unit: str, log: bool, zero: bool = False) -> Plot | None:
    good = drawable(xs) & drawable(ys)
    known = good.any(0)
    if not known.any():
        return None
    whole = bool((xs[known] % 1 == 0).all())
    spanned = np.append(ys[good], 0.0) if zero else ys[good]
    frame = Frame(axis_over(xs[known], whole=whole), axis_over(spanned, log=log, round_ends=True))
    lost = int((~good).sum())
    shown = ys[good] if len(ys) == 1 or not good[-1].any() else ys[-1][good[-1]]
    return Plot(
        frame=frame,
        title=title,
        unit=", ".join(part for part in (unit, "logarithmic" if frame.vertical.log else "") if part),
        x_label=x_label,
        curves=[_curve(frame, xs, row, _opacity(i, len(ys)), x_label) for i, row in enumerate(ys)],
        note=f"{lost:,} values not finite and not drawn." if lost else "",
        summary=f"{title} from {number(shown[0])} to {number(shown[-1])}",
    )


def _curve(frame: Frame, xs: Array, ys: Array, opacity: float, x_label: str) -> Curve:
    good = drawable(xs) & drawable(ys)
    runs = [list(run) for drawn, run in groupby(thin(xs, ys), key=lambda i: bool(good[i])) if drawn]
    paths = [[(frame.across(xs[i]), frame.down(ys[i])) for i in run] for run in runs]
    points = [point for path in paths for point in path]
    tips = [f"{x_label} {xs[i]:g}: {number(ys[i])}" for run in runs for i in run]
    return Curve(
        [path * 2 if len(path) == 1 else path for path in paths],  # a line to itself is drawn as a dot
        opacity,
        list(zip(points, tips, strict=True)) if len(xs) <= _MOST_MARKS else [],
    )


def _opacity(index: int, count: int) -> float:
    """An even ramp up to the last one's 1."""
    return round(1 - (1 - _PALEST) * (count - 1 - index) / max(count - 1, 1), 2)


def thin(x: Array, y: Array) -> list[int]:
    """Indices of at most 400 points, in order: of each of 200 intervals the lowest and the highest, nothing averaged.

    An interval without any finite value keeps its first point, which interrupts the curve.
    """
    if len(y) <= MOST_POINTS:
        return list(range(len(y)))
    kept: set[int] = set()
    for part in np.array_split(np.arange(len(y)), MOST_POINTS // 2):
        good = part[drawable(x[part]) & drawable(y[part])]
        kept.update((int(good[y[good].argmin()]), int(good[y[good].argmax()])) if good.size else (int(part[0]),))
    return sorted(kept)


def _end_labels(points: Sequence[Point], values: Array) -> list[Label]:
    """The first and the last value, written beside their points."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    last: Label = (x1, y1 - 8 if y1 > 30 else y1 + 16, "end", number(values[-1]))
    if len(points) == 1:
        return [last]
    # The curve leaves the first point towards the second: the label goes to the other side, above the axis.
    above = points[1][1] > y0 and y0 > 30
    return [(x0 + 8, y0 - 8 if above else min(y0 + 16, HEIGHT - BOTTOM - 5), "start", number(values[0])), last]
