"""Curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from markupsafe import Markup

from iodine_kit.records import Array
from iodine_kit.reporting.charts.axes import axis_over, drawable
from iodine_kit.reporting.charts.frame import BOTTOM, HEIGHT, Frame, Point
from iodine_kit.reporting.formatting import number
from iodine_kit.reporting.templating import fill

MOST_POINTS = 400
_MOST_MARKS = 30


def line_chart(x: Sequence[float], y: Sequence[float], *, title: str, x_label: str, unit: str = "") -> Markup:
    """A curve of ``y float[n]`` over ``x float[n]``, ascending, as an HTML figure; "" if no point is finite.

    A value that is not finite interrupts the curve, and the chart tells how many there are. Positive values over a wide
    range have a logarithmic axis. More than 400 points are thinned by :func:`thin`; where that may happen, tell so.
    """
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    good = drawable(xs) & drawable(ys)
    if not good.any():
        return Markup()
    whole = bool((xs[good] % 1 == 0).all())
    frame = Frame(axis_over(xs[good], whole=whole), axis_over(ys[good], log=True, round_ends=True))
    kept, lost = thin(xs, ys), int((~good).sum())
    runs = [list(run) for drawn, run in groupby(kept, key=lambda i: bool(good[i])) if drawn]
    paths = [[(frame.across(xs[i]), frame.down(ys[i])) for i in run] for run in runs]
    points = [point for path in paths for point in path]
    few = len(xs) <= _MOST_MARKS
    tips = [f"{x_label} {xs[i]:g}: {number(ys[i])}" for run in runs for i in run]
    return fill(
        "line_chart.html",
        **frame.fields(),
        title=title,
        x_label=x_label,
        unit=", ".join(part for part in (unit, "logarithmic" if frame.vertical.log else "") if part),
        paths=[path * 2 if len(path) == 1 else path for path in paths],  # a line to itself is drawn as a dot
        marks=list(zip(points, tips, strict=True)) if few else [],
        ends=_end_labels(points, ys[good]) if few else [],
        note=f"{lost:,} values not finite and not drawn." if lost else "",
        summary=f"{title} from {number(ys[good][0])} to {number(ys[good][-1])}",
    )


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


def _end_labels(points: list[Point], values: Array) -> list[tuple[float, float, str, str]]:
    """The first and the last value, written beside their points as (x, y, anchor, text)."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    last = (x1, y1 - 8 if y1 > 30 else y1 + 16, "end", number(values[-1]))
    if len(points) == 1:
        return [last]
    # The curve leaves the first point towards the second: the label goes to the other side, above the axis.
    above = points[1][1] > y0 and y0 > 30
    return [(x0 + 8, y0 - 8 if above else min(y0 + 16, HEIGHT - BOTTOM - 5), "start", number(values[0])), last]
