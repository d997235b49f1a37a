"""Small charts as inline SVG: they take their colours from the page, so light and dark need no second picture."""

from __future__ import annotations

from iodine_kit.reporting.charts.bars import histogram
from iodine_kit.reporting.charts.lines import MOST_POINTS, line_chart, thin

__all__ = ["MOST_POINTS", "histogram", "line_chart", "thin"]
