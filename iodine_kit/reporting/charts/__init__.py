"""Small charts as SVG. On a page they take its colours, so one drawing serves light and dark; see ``standalone``."""

from __future__ import annotations

from iodine_kit.reporting.charts.histograms import class_chart, count_chart, histogram, histogram_plot
from iodine_kit.reporting.charts.plot import MOST_POINTS, Plot, family, figure, line_chart, plot, scatter_plot, thin
from iodine_kit.reporting.charts.series import Series, interval_series, rows_plot, series_css, series_plot

__all__ = [
    "MOST_POINTS", "Plot", "Series", "class_chart", "count_chart", "family", "figure", "histogram", "histogram_plot",
    "interval_series", "line_chart", "plot", "rows_plot", "scatter_plot", "series_css", "series_plot", "thin",
]  # fmt: skip
