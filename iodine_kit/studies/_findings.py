"""The result of a study before it is written: tables, plots, a picture and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iodine_kit.records import Bytes
from iodine_kit.reporting.charts import Plot, Series, series_plot


class Estimate(NamedTuple):
    """A mean over ``n`` scenes with its confidence interval; NaN where either is undefined."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


Cell = Estimate | float | int | str
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: one sentence.
        columns: heading of each column, by the column's name in files.
        rows: cells by the column's name.
    """

    caption: str
    columns: Mapping[str, str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Findings:
    """All results of a study.

    Attributes:
        observations: sentences; every number in them was computed.
        method: sentences on how the study was done and what its metrics mean.
        tables: the first one is also written as ``table.csv``.
        plots: panels of the figure; ``None`` where there is nothing to draw.
        picture: ``uint8[H, W, 3]`` and its caption, or ``None``.
        facts: values for ``study.json`` that are in no table.
    """

    observations: Sequence[str]
    method: Sequence[str]
    tables: Sequence[Table]
    plots: Sequence[Plot | None]
    picture: tuple[Bytes, str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def estimates_in(rows: Sequence[Row], column: str) -> list[Estimate]:
    """The estimates of one column, top to bottom; cells of other types are skipped."""
    return [cell for row in rows if isinstance(cell := row[column], Estimate)]


def line_series(name: str, x: Sequence[float], y: Sequence[Estimate]) -> Series:
    """Estimates as a line over ``x`` with error bars."""
    return Series(name, list(x), [e.mean for e in y], [e.low for e in y], [e.high for e in y])


def point_series(y: Sequence[Estimate], name: str = "") -> Series:
    """Estimates as points with error bars, one in each row of a row plot."""
    rows = [float(row) for row in range(len(y))]
    return Series(name, rows, [e.mean for e in y], [e.low for e in y], [e.high for e in y], line=False)


def line_plot(
    title: str, unit: str, x_label: str, lines: Sequence[Series], at: tuple[float, str] | None = None
) -> Plot | None:
    """Lines over the values of the varied factor; ``at`` marks one of the values with a label."""
    return series_plot(lines, title=title, x_label=x_label, unit=unit, at=at)
