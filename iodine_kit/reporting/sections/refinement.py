"""How scores and the ELBO change while the slots are refined."""

from __future__ import annotations

import math

from markupsafe import Markup

from iodine_kit.reporting.charts import line_chart
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill

ORDER = 30
TITLE = "Refinement"


def render(context: ReportContext) -> Markup | str:
    """A curve for each metric that was taken at every step, and one for the ELBO; "" if there are none."""
    curves = [(metric.title, "mean over scenes", metric.by_step) for metric in context.metrics.values()]
    curves.append(("ELBO", "mean, nats per image", context.elbo_by_step))
    curves = [(title, unit, values) for title, unit, values in curves if any(math.isfinite(v) for v in values)]
    if not curves:
        return ""
    charts = [
        line_chart(range(len(values)), values, title=title, x_label="refinement step", unit=unit)
        for title, unit, values in curves
    ]
    steps = range(max(len(values) for _, _, values in curves))
    rows = [(step, [values[step] if step < len(values) else math.nan for _, _, values in curves]) for step in steps]
    return fill("refinement.html", charts=charts, columns=[title for title, _, _ in curves], rows=rows)
