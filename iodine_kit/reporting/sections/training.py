"""How training went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from iodine_kit.reporting.charts import MOST_POINTS, line_chart
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill

ORDER = 50
TITLE = "Training"

_CURVES = (
    ("loss", "Loss", "all decodes, weighted"),
    ("nll", "Negative log-likelihood", "last decode, nats per image"),
    ("kl", "KL divergence", "last decode, nats per image"),
    ("grad_norm", "Gradient norm", ""),
)


def render(context: ReportContext) -> Markup | str:
    """A curve for each column of the training log that has finite values; "" if none has."""
    charts = [chart for curve in _CURVES if (chart := _chart(context.training, *curve))]
    return fill("training.html", charts=charts, rows=len(context.training), most=MOST_POINTS) if charts else ""


def _chart(log: Sequence[Mapping[str, float]], name: str, title: str, unit: str) -> Markup:
    """A column over the step; rows that do not have it are no gap, for it may be logged less often."""
    rows = [row for row in log if name in row]
    steps, values = [row.get("step", math.nan) for row in rows], [row[name] for row in rows]
    return line_chart(steps, values, title=title, x_label="step", unit=unit)
