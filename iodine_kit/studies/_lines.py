"""Estimates as series: over a knob that is turned, or one in every row."""

from __future__ import annotations

from collections.abc import Sequence

from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.charts.series import Series, series_plot
from iodine_kit.studies._findings import Cell, Estimate


def line(name: str, x: Sequence[float], y: Sequence[Estimate]) -> Series:
    """Estimates as a series."""
    return Series(name, list(x), [e.mean for e in y], [e.low for e in y], [e.high for e in y])


def points(y: Sequence[Estimate], name: str = "") -> Series:
    """Estimates as points, one in every row."""
    rows = [float(row) for row in range(len(y))]
    return Series(name, rows, [e.mean for e in y], [e.low for e in y], [e.high for e in y], line=False)


def over(
    title: str, unit: str, x_label: str, lines: Sequence[Series], at: tuple[float, str] | None = None
) -> Plot | None:
    """A plot of lines over the knob's values."""
    return series_plot(lines, title=title, x_label=x_label, unit=unit, at=at)


def estimates(rows: Sequence[dict[str, Cell]], name: str) -> list[Estimate]:
    """A column of estimates."""
    return [cell for row in rows if isinstance(cell := row[name], Estimate)]
