"""Small charts as inline SVG: they take their colours from the page, so light and dark need no second picture."""

from __future__ import annotations

from iodine_kit.reporting.charts.bars import histogram
from iodine_kit.reporting.charts.lines import line_chart, thin

__all__ = ["histogram", "line_chart", "thin"]
