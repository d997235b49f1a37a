"""Curves as figures of a page."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from iodine_kit.reporting.charts.plot import Plot, plot
from iodine_kit.reporting.templating import fill


def line_chart(x: Sequence[float], y: Sequence[float], *, title: str, x_label: str, unit: str = "") -> Markup:
    """:func:`~iodine_kit.reporting.charts.plot.plot` as an HTML figure; "" if no point is finite."""
    plotted = plot(x, y, title=title, x_label=x_label, unit=unit)
    return figure(plotted) if plotted else Markup()


def figure(plotted: Plot) -> Markup:
    """A plot as an HTML figure."""
    return fill("line_chart.html", plot=plotted, **plotted.frame.fields())
