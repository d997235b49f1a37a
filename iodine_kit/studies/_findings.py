"""What a study found: tables, plots, pictures and sentences, before they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iodine_kit.records import Bytes
from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.charts.series import Series, series_plot


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


class Estimate(NamedTuple):
    """A mean over ``n`` scenes with its interval; NaN where there is none."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


Cell = Estimate | float | int | str


@dataclass(frozen=True)
class Table:
    """A table: a name for files and a heading for people of every column, and rows of cells by column."""

    caption: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Cell]]


@dataclass(frozen=True)
class Findings:
    """Everything a study has to tell.

    Attributes:
        seen: sentences whose every figure was computed.
        method: sentences on how it was done, and what the figures mean.
        tables: the first one is ``table.csv``.
        plots: for the figure.
        picture: ``uint8[H, W, 3]`` and its caption.
        facts: figures that stand in no table.
    """

    seen: Sequence[str]
    method: Sequence[str]
    tables: Sequence[Table]
    plots: Sequence[Plot | None]
    picture: tuple[Bytes, str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
