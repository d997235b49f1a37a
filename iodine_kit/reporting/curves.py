"""Curves of the training log, for a page and as one SVG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from iodine_kit.records import Array
from iodine_kit.reporting.charts import MOST_POINTS, Plot, family, plot
from iodine_kit.reporting.charts.axes import drawable
from iodine_kit.reporting.charts.standalone import svg

Rows = Sequence[Mapping[str, Any]]
"""The training log: ``step`` and any of the columns below; missing values and nulls are not drawn."""


class _Column(NamedTuple):
    """A column of the log.

    Attributes:
        log: use a logarithmic axis if the values are positive and have a wide range.
        zero: include 0 in the axis.
        late: draw the second half again if it is flat in the first drawing.
    """

    name: str
    title: str
    unit: str = ""
    log: bool = True
    zero: bool = False
    late: bool = False


_COLUMNS = (
    _Column("loss", "Loss", "all decodes, weighted", late=True),
    _Column("nll", "Negative log-likelihood", "last decode, nats per image"),
    _Column("kl", "KL divergence", "last decode, nats per image", log=False),
    _Column("nll_steps", "NLL per refinement step", "nats per image", late=True),
    _Column("fg_ari", "Validation FG-ARI", "mean over scenes", log=False),
    _Column("val_loss", "Validation loss"),
    _Column("grad_norm", "Gradient norm", "before clipping"),
    _Column("learning_rate", "Learning rate", log=False, zero=True),
    _Column("geco_multiplier", "GECO multiplier"),
    _Column("kl_weight", "Weight of the KL term"),
)
_CONVERGED = 5
"""The second half is drawn again if the range of all values is this many times its own range."""
_MIN_ROWS = 10
"""The second half is not drawn again if it has fewer rows."""


def training_plots(rows: Rows) -> list[Plot]:
    """A plot for each column with a finite value; a row without the column does not interrupt its curve."""
    return [plot for column in _COLUMNS for plot in _plots(rows, column) if plot]


def curves_svg(rows: Rows, title: str) -> str:
    """All curves as a standalone SVG file. Same rows, same text."""
    plots = training_plots(rows)
    return svg(plots, title, _subtitle(rows) if plots else "The training log has no finite value.")


def thinning(rows: int) -> str:
    """How the curves show this many rows, as the end of a sentence."""
    if rows <= MOST_POINTS:
        return "nothing is smoothed"
    return f"of each of {MOST_POINTS // 2} intervals the lowest and the highest value; nothing is smoothed"


def _subtitle(rows: Rows) -> str:
    return f"{len(rows):,} row{'s' * (len(rows) != 1)} of the training log; {thinning(len(rows))}."


def _plots(log: Rows, column: _Column) -> list[Plot | None]:
    rows = [row for row in log if column.name in row]
    if not rows:
        return []
    steps = _stacked([row.get("step") for row in rows])[0]
    values = _stacked([row[column.name] for row in rows])
    plots = [_plot(steps, values, column, column.title)]
    half = len(rows) // 2
    if column.late and half >= _MIN_ROWS and _span(values) > _CONVERGED * _span(values[:, half:]):
        plots.append(_plot(steps[half:], values[:, half:], column, f"{column.title}, second half"))
    return plots


def _plot(steps: Array, values: Array, column: _Column, title: str) -> Plot | None:
    options: dict[str, Any] = {"title": title, "x_label": "step", "unit": column.unit, "log": column.log}
    if len(values) == 1:
        return plot(steps, values[0], **options, zero=column.zero)
    return family(steps, values, name="refinement step", **options)


def _span(values: Array) -> float:
    """Half the range of the drawable values, because the whole range may not be finite; 0 if there is none."""
    good = values[drawable(values)] / 2
    return float(good.max() - good.min()) if good.size else 0.0


def _stacked(values: Sequence[Any]) -> Array:
    """Numbers, or lists of different lengths, as ``float64[S, n]``; NaN where a value is missing."""
    try:
        stacked: Array = np.array(values, np.float64)  # null becomes NaN
    except (TypeError, ValueError):
        rows = [value if isinstance(value, list) else [value] for value in values]
        stacked = np.full((len(rows), max(map(len, rows)) or 1), np.nan)
        for index, row in enumerate(rows):
            stacked[index, : len(row)] = [_value(value) for value in row]
    return stacked.reshape(len(values), -1).T


def _value(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
