"""Histograms of what was counted before, and counts by class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from iodine_kit.dataset_statistics import Histogram
from iodine_kit.formatting import number
from iodine_kit.reporting.charts.axes import Axis, axis_over
from iodine_kit.reporting.charts.frame import LEFT, RIGHT, WIDTH, Frame
from iodine_kit.reporting.templating import fill

_WIDEST_BAR = 44
_DIGIT, _ROW, _TOP = 7.2, 20, 6
"""Width of a digit, height of a class's row and of the room above it, as in the drawing's own unit."""
_LONGEST_NAME = 18


def count_chart(histogram: Histogram | None, *, title: str, x_label: str, unit: str) -> Markup:
    """Bars over whole numbers or intervals, as an HTML figure; "" without counts. ``unit`` is what was counted."""
    if histogram is None or not any(histogram.counts):
        return Markup()
    edges = np.array(histogram.edges)
    across = _whole_axis(edges) if histogram.whole else axis_over(edges)
    frame = Frame(across, axis_over(np.array([0, max(histogram.counts) * 1.06]), whole=True, round_ends=True))
    bars = [_bar(frame, histogram, index, unit) for index, many in enumerate(histogram.counts) if many]
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
    """A bar to the right for each class, in the order given, as an HTML figure; "" without counts."""
    if not any(classes.values()):
        return Markup()
    most, total = max(classes.values()), sum(classes.values())
    left = 10 + _DIGIT * min(max(map(len, classes)), _LONGEST_NAME)
    room = WIDTH - left - 10 - _DIGIT * len(f"{most:,}")
    rows = [
        {
            "name": name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…",
            "y": _TOP + _ROW * index,
            "width": round(room * many / most, 1),
            "count": f"{many:,}",
            "tip": f"{name}: {many:,} {unit}, {100 * many / total:.1f} %",
        }
        for index, (name, many) in enumerate(classes.items())
    ]
    return fill(
        "class_chart.html", title=title, unit=unit, rows=rows, left=round(left, 1), width=WIDTH,
        height=2 * _TOP + _ROW * len(rows), thickness=_ROW - 6,
        summary=f"{title}: {total:,} {unit} in {len(rows)} classes",
    )  # fmt: skip


def _whole_axis(edges: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Axis:
    """Whole numbers in the middle of their bars, with ticks below them."""
    first, last = float(edges[0]), float(edges[-2])
    ticks = axis_over(np.array([first, last]), whole=True).ticks if last > first else ((first, f"{first:g}"),)
    return Axis(first - 0.5, last + 0.5, ticks)


def _bar(frame: Frame, histogram: Histogram, index: int, unit: str) -> dict[str, object]:
    """Place of a bar; the smallest count still has a visible one, and numbers stand above where all have room."""
    many, low, high = histogram.counts[index], histogram.edges[index], histogram.edges[index + 1]
    shift = 0.5 if histogram.whole else 0.0
    left, right = frame.across(low - shift), frame.across(high - shift)
    gap = max(right - left - _WIDEST_BAR, 1.0 + 2 * histogram.whole) if histogram.whole else 1.0
    floor = frame.down(0)
    top = min(frame.down(many), floor - 1.5)
    place = f"{low:g}" if histogram.whole else f"{number(low)} … {number(high)}"
    return {
        "x": round(left + gap / 2, 1),
        "y": top,
        "width": round(right - left - gap, 1),
        "height": round(floor - top, 1),
        "count": f"{many:,}" if _has_room(histogram) else "",
        "tip": f"{place}: {many:,} {unit}",
    }


def _has_room(histogram: Histogram) -> bool:
    """Whether every bar is as wide as the longest number."""
    slot = (WIDTH - LEFT - RIGHT) / len(histogram.counts)
    return slot > _DIGIT * len(f"{max(histogram.counts):,}")
