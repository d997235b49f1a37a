"""How training went."""

from __future__ import annotations

import math

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
    steps = [row.get("step", math.nan) for row in context.training]
    charts = [
        line_chart(steps, [row.get(name, math.nan) for row in context.training], title=title, x_label="step", unit=unit)
        for name, title, unit in _CURVES
    ]
    charts = [chart for chart in charts if chart]
    return fill("training.html", charts=charts, rows=len(context.training), most=MOST_POINTS) if charts else ""
