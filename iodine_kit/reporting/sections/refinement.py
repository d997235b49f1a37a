"""How scores and the ELBO change while the slots are refined."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from iodine_kit.reporting.charts import Plot, figure, plot
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill

ORDER = 30
TITLE = "Refinement"
_CHARTED = ("ari", "ari-all", "miou", "mbo", "recovery")
"""Metrics whose curves are drawn; the others are in the table only."""
_MOST = 5


def render(context: ReportContext) -> Markup | str:
    """A curve for each metric that was taken at every step, and one for the ELBO; "" if there are none."""
    curves = _curves(context)
    if not curves:
        return ""
    charts = [figure(plotted) for plotted in refinement_plots(context)]
    steps = range(max(len(values) for _, _, values in curves))
    rows = [(step, [values[step] if step < len(values) else math.nan for _, _, values in curves]) for step in steps]
    return fill("refinement.html", charts=charts, columns=[title for title, _, _ in curves], rows=rows)


def refinement_plots(context: ReportContext) -> list[Plot]:
    """A plot for each of the most informative curves."""
    shown = [context.metrics[name].title for name in _CHARTED if name in context.metrics]
    shown = [*(shown or [metric.title for metric in context.metrics.values()][:_MOST]), "ELBO"]
    plots = [
        plot(range(len(values)), values, title=title, x_label="refinement step", unit=unit)
        for title, unit, values in _curves(context)
        if title in shown
    ]
    return [plotted for plotted in plots if plotted is not None]


def _curves(context: ReportContext) -> list[tuple[str, str, Sequence[float]]]:
    curves = [(metric.title, "mean over scenes", metric.by_step) for metric in context.metrics.values()]
    curves.append(("ELBO", "mean, nats per image", context.elbo_by_step))
    return [curve for curve in curves if len(curve[2]) > 1 and any(math.isfinite(value) for value in curve[2])]
