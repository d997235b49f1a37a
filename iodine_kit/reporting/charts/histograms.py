"""Histograms of scores and of counts, and bars by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from iodine_kit.dataset_statistics import Histogram
from iodine_kit.formatting import number
from iodine_kit.records import Array
from iodine_kit.reporting.charts.axes import LEFT, RIGHT, WIDTH, Axis, Frame, axis_over, drawable
from iodine_kit.reporting.charts.plot import Plot, figure
from iodine_kit.reporting.templating import fill

_BINS = 20
_LEAST_HEIGHT = 1.5
"""A single scene among thousands still has a visible bar."""
_WIDEST_BAR = 44
_DIGIT, _ROW, _TOP = 7.2, 20, 6
"""Width of a digit, height of a class's row and of the space above the rows, in units of the drawing."""
_LONGEST_NAME = 18


def histogram(scores: Sequence[float], *, title: str, x_label: str) -> Markup:
    """:func:`histogram_plot` as an HTML figure; "" if no score is finite."""
    content = histogram_plot(scores, title=title, x_label=x_label)
    return figure(content) if content else Markup()


def histogram_plot(scores: Sequence[float], *, title: str, x_label: str) -> Plot | None:
    """Number of ``scores float[n]`` in each of about 20 intervals; ``None`` if none is finite.

    The axis of scores within [−1, 1] includes 0 and 1.
    """
    values = np.asarray(scores, np.float64)
    values = values[drawable(values)]
    if not values.size:
        return None
    edges = bin_edges(values)
    counts = np.histogram(values, edges)[0]
    frame = Frame(axis_over(edges), axis_over(np.array([0, counts.max() * 1.06]), whole=True, round_ends=True))
    bars = [
        _score_bar(frame, low, high, int(count))
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
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
    """Edges ``float64[bins + 1]`` of intervals that hold all values; every 0.05 up to 1 for scores within [−1, 1]."""
    low, high = float(values.min()), float(values.max())
    if low >= -1 and high <= 1:
        result: Array = np.arange(math.floor(min(low, 0) * _BINS), _BINS + 1) / _BINS
        return result
    room = 0.0 if high - low > 1e-9 * max(abs(low), abs(high)) else abs(low) * 0.1
    return np.linspace(low - room, high + room, _BINS + 1)


def count_chart(histogram: Histogram | None, *, title: str, x_label: str, unit: str) -> Markup:
    """Bars over whole numbers or intervals as an HTML figure; "" without counts. ``unit`` is what was counted."""
    if histogram is None or not any(histogram.counts):
        return Markup()
    edges = np.array(histogram.edges)
    across = _whole_axis(edges) if histogram.whole else axis_over(edges)
    frame = Frame(across, axis_over(np.array([0, max(histogram.counts) * 1.06]), whole=True, round_ends=True))
    bars = [_count_bar(frame, histogram, index, unit) for index, count in enumerate(histogram.counts) if count]
    total = sum(histogram.counts)
    ends = f"{number(edges[0])} to {number(edges[-1 - histogram.whole])}"
    return fill(
        "histogram.html",
        **frame.fields(),
        title=title,
        x_label=x_label,
        unit=unit,
        bars=bars,
        note="",
        summary=f"{title}: {total:,} {unit} from {ends}",
    )


def class_chart(classes: Mapping[str, int], *, title: str, unit: str) -> Markup:
    """A horizontal bar for each class, in the order given, as an HTML figure; "" without counts."""
    if not any(classes.values()):
        return Markup()
    most, total = max(classes.values()), sum(classes.values())
    left = 10 + _DIGIT * min(max(map(len, classes)), _LONGEST_NAME)
    room = WIDTH - left - 10 - _DIGIT * len(f"{most:,}")
    rows = [
        {
            "name": name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…",
            "y": _TOP + _ROW * index,
            "width": round(room * count / most, 1),
            "count": f"{count:,}",
            "tip": f"{name}: {count:,} {unit}, {100 * count / total:.1f} %",
        }
        for index, (name, count) in enumerate(classes.items())
    ]
    return fill(
        "class_chart.html", title=title, unit=unit, rows=rows, left=round(left, 1), width=WIDTH,
        height=2 * _TOP + _ROW * len(rows), thickness=_ROW - 6,
        summary=f"{title}: {total:,} {unit} in {len(rows)} classes",
    )  # fmt: skip


def _score_bar(frame: Frame, low: float, high: float, count: int) -> dict[str, object]:
    left, right, floor = frame.across(low), frame.across(high), frame.down(0)
    top = min(frame.down(count), floor - _LEAST_HEIGHT)
    return {
        "x": left,
        "y": top,
        "width": round(right - left - 1, 1),
        "height": round(floor - top, 1),
        "count": count,
        "tip": f"{count} in {number(low)} … {number(high)}",
    }


def _count_bar(frame: Frame, histogram: Histogram, index: int, unit: str) -> dict[str, object]:
    count, low, high = histogram.counts[index], histogram.edges[index], histogram.edges[index + 1]
    shift = 0.5 if histogram.whole else 0.0
    left, right = frame.across(low - shift), frame.across(high - shift)
    gap = max(right - left - _WIDEST_BAR, 1.0 + 2 * histogram.whole) if histogram.whole else 1.0
    floor = frame.down(0)
    top = min(frame.down(count), floor - _LEAST_HEIGHT)
    values = f"{low:g}" if histogram.whole else f"{number(low)} … {number(high)}"
    return {
        "x": round(left + gap / 2, 1),
        "y": top,
        "width": round(right - left - gap, 1),
        "height": round(floor - top, 1),
        "count": f"{count:,}" if _counts_fit(histogram) else "",
        "tip": f"{values}: {count:,} {unit}",
    }


def _whole_axis(edges: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Axis:
    """An axis of whole numbers, each in the middle of its bar."""
    first, last = float(edges[0]), float(edges[-2])
    ticks = axis_over(np.array([first, last]), whole=True).ticks if last > first else ((first, f"{first:g}"),)
    return Axis(first - 0.5, last + 0.5, ticks)


def _counts_fit(histogram: Histogram) -> bool:
    """Whether every bar is as wide as the longest count; otherwise no count is written above a bar."""
    slot = (WIDTH - LEFT - RIGHT) / len(histogram.counts)
    return slot > _DIGIT * len(f"{max(histogram.counts):,}")
