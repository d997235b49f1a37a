"""Points of two numbers each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iodine_kit.formatting import number
from iodine_kit.records import Array
from iodine_kit.reporting.charts.axes import axis_over, drawable
from iodine_kit.reporting.charts.frame import Frame
from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.templating import fill


def scatter_plot(
    x: Sequence[float] | Array, y: Sequence[float] | Array, names: Sequence[str], *, title: str, x_label: str, unit: str
) -> Plot | None:
    """A point for each of ``x, y float[n]``, called by its name; ``None`` if no point is finite."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    good = np.flatnonzero(drawable(xs) & drawable(ys)).tolist()
    if not good:
        return None
    frame = Frame(axis_over(xs[good], round_ends=True), axis_over(ys[good], round_ends=True))
    points = [
        (frame.across(xs[i]), frame.down(ys[i]), f"{names[i]}: {x_label} {number(xs[i])}, {unit} {number(ys[i])}")
        for i in good
    ]
    lost = len(xs) - len(good)
    return Plot(
        frame=frame,
        title=title,
        unit=unit,
        x_label=x_label,
        curves=(),
        note=f"{lost:,} scenes undefined and not drawn." if lost else "",
        summary=f"{title}: {len(good)} scenes",
        overlay=fill("scatter.svg", points=points),
    )
