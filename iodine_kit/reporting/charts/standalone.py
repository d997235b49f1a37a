"""Plots as one SVG file that needs no page: white ground, its colours and its font's names within."""

from __future__ import annotations

from collections.abc import Sequence

from iodine_kit.reporting.charts.frame import WIDTH
from iodine_kit.reporting.charts.marks import series_css
from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.templating import fill

_MARGIN, _HEAD, _TITLE, _GAP = 28, 50, 40, 26
_LETTER, _HEADING = 5.8, 10.2
"""Widths of a letter of the line below the title and of the title, as in the drawing's own unit."""


def svg(plots: Sequence[Plot], title: str, subtitle: str = "") -> str:
    """Panels below a title and a line of text, two or, of many, three beside each other; same plots, same text.

    A plot's height is its own. Without plots there is the title and the line.
    """
    columns = min(len(plots), 3 if len(plots) > 4 else 2) or 1
    boxes = [plotted.frame.fields() for plotted in plots]
    panels, top = [], _MARGIN + _HEAD
    for first in range(0, len(plots), columns):
        row = range(first, min(first + columns, len(plots)))
        panels += [
            {"x": _MARGIN + (i - first) * (WIDTH + _GAP), "y": top + _TITLE, "plot": plots[i], "box": boxes[i]}
            for i in row
        ]
        top += _TITLE + max(boxes[i]["height"] for i in row) + _GAP
    # Long words above a single panel must not be cut off.
    words = max(_HEADING * len(title), _LETTER * len(subtitle))
    picture = fill(
        "standalone.svg",
        width=2 * _MARGIN + round(max(columns * (WIDTH + _GAP) - _GAP, words)),
        height=top + _MARGIN - (_GAP if plots else 0),
        margin=_MARGIN,
        title=title,
        subtitle=subtitle,
        panels=panels,
        series_css=series_css(),
    )
    return "\n".join(line for line in picture.splitlines() if line.strip()) + "\n"
