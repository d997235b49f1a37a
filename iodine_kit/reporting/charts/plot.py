"""Curves and points in a frame: their positions are computed here, for a figure of a page and for a file alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from markupsafe import Markup

from iodine_kit.formatting import number
from iodine_kit.records import Array
from iodine_kit.reporting.charts.axes import BOTTOM, HEIGHT, RIGHT, WIDTH, Frame, Point, axis_over, drawable
from iodine_kit.reporting.templating import fill

MOST_POINTS = 400
_MOST_DOTS = 30
_MOST_SWATCHES, _SWATCH, _PALEST = 12, 12, 0.25

Label = tuple[float, float, str, str]
"""A text in the drawing: x, y, anchor, content."""


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        paths: its pieces; values that are not finite interrupt it.
        opacity: in [0, 1].
        dots: its points with their tooltips, if there are few.
    """

    paths: Sequence[Sequence[Point]]
    opacity: float
    dots: Sequence[tuple[Point, str]]


@dataclass(frozen=True)
class Plot:
    """A chart with all of its text, as the templates need it.

    Attributes:
        frame: the axes.
        title, unit, x_label: text around the frame; ``unit`` is that of y.
        curves: the curves.
        note: a sentence below the chart, or "".
        summary: the chart in words, for screen readers.
        ends: values written beside points.
        swatches: short lines as (x, opacity) that show which curve is which, between two ``names``.
        overlay: further SVG in the frame; see :mod:`~iodine_kit.reporting.charts.series`.
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


def figure(content: Plot) -> Markup:
    """A plot as an HTML figure."""
    return fill("line_chart.html", plot=content, **content.frame.fields())


def line_chart(x: Sequence[float], y: Sequence[float], *, title: str, x_label: str, unit: str = "") -> Markup:
    """:func:`plot` as an HTML figure; "" if no point is finite."""
    content = plot(x, y, title=title, x_label=x_label, unit=unit)
    return figure(content) if content else Markup()


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

    A value that is not finite interrupts the curve; a note gives the number of such values. More than 400 points are
    thinned by :func:`thin`: say so where the chart is shown.

    Args:
        log: make the axis of y logarithmic if the values are positive and span more than a factor of 100.
        zero: include 0 in the axis of y.
    """
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    content = _plot(xs, ys[None], title, x_label, unit, log, zero)
    if content is None or len(xs) > _MOST_DOTS:
        return content
    points = [point for point, _ in content.curves[0].dots]
    return replace(content, ends=_end_labels(points, ys[drawable(xs) & drawable(ys)]))


def family(x: Array, y: Array, *, title: str, x_label: str, unit: str, name: str, log: bool = True) -> Plot | None:
    """A curve for each row of ``y float[S, n]`` on one axis, from pale (first) to full (last); else as :func:`plot`."""
    content = _plot(x, y, title, x_label, unit, log)
    if content is None or len(y) == 1:
        return content
    count = min(len(y), _MOST_SWATCHES)
    last = str(len(y) - 1)
    end = WIDTH - RIGHT - 7 * len(last) - 5
    swatches = [(end - _SWATCH * (count - i), _opacity(i, count)) for i in range(count)]
    names: list[Label] = [(WIDTH - RIGHT, 8, "end", last), (swatches[0][0] - 5, 8, "end", f"{name} 0")]
    return replace(content, swatches=swatches, names=names)


def scatter_plot(
    x: Sequence[float] | Array, y: Sequence[float] | Array, names: Sequence[str], *, title: str, x_label: str, unit: str
) -> Plot | None:
    """A point for each of ``x, y float[n]`` with its name as tooltip; ``None`` if no point is finite."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    good = np.flatnonzero(drawable(xs) & drawable(ys)).tolist()
    if not good:
        return None
    frame = Frame(axis_over(xs[good], round_ends=True), axis_over(ys[good], round_ends=True))
    points = [
        (frame.across(xs[i]), frame.down(ys[i]), f"{names[i]}: {x_label} {number(xs[i])}, {unit} {number(ys[i])}")
        for i in good
    ]
    omitted = len(xs) - len(good)
    return Plot(
        frame=frame,
        title=title,
        unit=unit,
        x_label=x_label,
        curves=(),
        note=f"{omitted:,} undefined scenes are not drawn." if omitted else "",
        summary=f"{title}: {len(good)} scenes",
        overlay=fill("scatter.svg", points=points),
    )


def thin(x: Array, y: Array) -> list[int]:
    """Indices of at most 400 points, ascending: the lowest and the highest of each of 200 intervals, not averaged.

    An interval without a finite value keeps its first point, which interrupts the curve.
    """
    if len(y) <= MOST_POINTS:
        return list(range(len(y)))
    kept: set[int] = set()
    for part in np.array_split(np.arange(len(y)), MOST_POINTS // 2):
        good = part[drawable(x[part]) & drawable(y[part])]
        kept.update((int(good[y[good].argmin()]), int(good[y[good].argmax()])) if good.size else (int(part[0]),))
    return sorted(kept)


def _plot(xs: Array, ys: Array, title: str, x_label: str, unit: str, log: bool, zero: bool = False) -> Plot | None:
    good = drawable(xs) & drawable(ys)
    known = good.any(0)
    if not known.any():
        return None
    whole = bool((xs[known] % 1 == 0).all())
    spanned = np.append(ys[good], 0.0) if zero else ys[good]
    frame = Frame(axis_over(xs[known], whole=whole), axis_over(spanned, log=log, round_ends=True))
    omitted = int((~good).sum())
    shown = ys[good] if len(ys) == 1 or not good[-1].any() else ys[-1][good[-1]]
    return Plot(
        frame=frame,
        title=title,
        unit=", ".join(part for part in (unit, "logarithmic" if frame.vertical.log else "") if part),
        x_label=x_label,
        curves=[_curve(frame, xs, row, _opacity(i, len(ys)), x_label) for i, row in enumerate(ys)],
        note=f"{omitted:,} values are not finite and not drawn." if omitted else "",
        summary=f"{title} from {number(shown[0])} to {number(shown[-1])}",
    )


def _curve(frame: Frame, xs: Array, ys: Array, opacity: float, x_label: str) -> Curve:
    good = drawable(xs) & drawable(ys)
    runs = [list(run) for drawn, run in groupby(thin(xs, ys), key=lambda i: bool(good[i])) if drawn]
    paths = [[(frame.across(xs[i]), frame.down(ys[i])) for i in run] for run in runs]
    points = [point for path in paths for point in path]
    tips = [f"{x_label} {xs[i]:g}: {number(ys[i])}" for run in runs for i in run]
    return Curve(
        [path * 2 if len(path) == 1 else path for path in paths],  # a line from a point to itself is drawn as a dot
        opacity,
        list(zip(points, tips, strict=True)) if len(xs) <= _MOST_DOTS else [],
    )


def _opacity(index: int, count: int) -> float:
    """Opacity of a curve of a family: evenly increasing up to 1 for the last curve."""
    return round(1 - (1 - _PALEST) * (count - 1 - index) / max(count - 1, 1), 2)


def _end_labels(points: Sequence[Point], values: Array) -> list[Label]:
    """The first and the last value, beside their points."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    last: Label = (x1, y1 - 8 if y1 > 30 else y1 + 16, "end", number(values[-1]))
    if len(points) == 1:
        return [last]
    # The label of the first point is on the side that the curve does not go to, and above the axis.
    above = points[1][1] > y0 and y0 > 30
    return [(x0 + 8, y0 - 8 if above else min(y0 + 16, HEIGHT - BOTTOM - 5), "start", number(values[0])), last]
