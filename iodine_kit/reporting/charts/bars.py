"""Histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from iodine_kit.formatting import number
from iodine_kit.records import Array
from iodine_kit.reporting.charts.axes import axis_over, drawable
from iodine_kit.reporting.charts.frame import Frame
from iodine_kit.reporting.charts.lines import figure
from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.templating import fill

_BINS = 20


def histogram(scores: Sequence[float], *, title: str, x_label: str) -> Markup:
    """:func:`histogram_plot` as an HTML figure; "" if no score is finite."""
    plotted = histogram_plot(scores, title=title, x_label=x_label)
    return figure(plotted) if plotted else Markup()


def histogram_plot(scores: Sequence[float], *, title: str, x_label: str) -> Plot | None:
    """How many of ``scores float[n]`` lie in each of some twenty intervals; ``None`` if none is finite.

    Scores within [−1, 1] have an axis that reaches 0 and 1.
    """
    values = np.asarray(scores, np.float64)
    values = values[drawable(values)]
    if not values.size:
        return None
    edges = bin_edges(values)
    counts = np.histogram(values, edges)[0]
    frame = Frame(axis_over(edges), axis_over(np.array([0, counts.max() * 1.06]), whole=True, round_ends=True))
    bars = [
        _bar(frame, low, high, int(many)) for low, high, many in zip(edges, edges[1:], counts, strict=False) if many
    ]
    return Plot(
        frame=frame,
        title=title,
        unit="scenes",
        x_label=x_label,
        curves=(),
        note="",
        summary=f"{title}: {values.size} scenes from {number(values.min())} to {number(values.max())}",
        overlay=fill("bars.svg", bars=bars),
    )


def bin_edges(values: Array) -> Array:
    """Edges ``float64[bins + 1]`` that hold all of ``values``; every 0.05 up to 1 for scores within [−1, 1]."""
    low, high = float(values.min()), float(values.max())
    if low >= -1 and high <= 1:
        result: Array = np.arange(math.floor(min(low, 0) * _BINS), _BINS + 1) / _BINS
        return result
    room = 0.0 if high - low > 1e-9 * max(abs(low), abs(high)) else abs(low) * 0.1
    return np.linspace(low - room, high + room, _BINS + 1)


def _bar(frame: Frame, low: float, high: float, many: int) -> dict[str, object]:
    """Place of a bar; a single scene among thousands still has a visible one."""
    left, right, floor = frame.across(low), frame.across(high), frame.down(0)
    top = min(frame.down(many), floor - 1.5)
    tip = f"{many} in {number(low)} … {number(high)}"
    return {"x": left, "y": top, "width": round(right - left - 1, 1), "height": round(floor - top, 1),
            "count": many, "tip": tip}  # fmt: skip
