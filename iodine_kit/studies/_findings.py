"""What a study found: tables, plots, pictures and sentences, before they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iodine_kit.records import Bytes
from iodine_kit.reporting.charts.plot import Plot


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
