"""Small charts as inline SVG: they take their colours from the page, so light and dark need no second picture."""

from __future__ import annotations

from iodine_kit.reporting.charts.bars import histogram, histogram_plot
from iodine_kit.reporting.charts.lines import figure, line_chart
from iodine_kit.reporting.charts.plot import MOST_POINTS, Plot, family, plot, thin

__all__ = ["MOST_POINTS", "Plot", "family", "figure", "histogram", "histogram_plot", "line_chart", "plot", "thin"]
