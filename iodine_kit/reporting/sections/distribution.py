"""How the headline metric is spread over scenes, for a mean may hide a few that fail, and whether the ELBO knows."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from iodine_kit.records import Array
from iodine_kit.reporting.charts import Plot, figure, histogram_plot, scatter_plot
from iodine_kit.reporting.context import MetricSummary, ReportContext
from iodine_kit.reporting.templating import fill

ORDER = 40
TITLE = "Distribution"
_FEWEST = 10
"""Scenes below which a rank correlation says nothing."""


def render(context: ReportContext) -> Markup | str:
    """Histogram of the first metric's score per scene, and its scatter over the ELBO; "" if no scene has one."""
    metric = next(iter(context.metrics.values()), None)
    chart = spread_plot(metric) if metric else None
    if metric is None or chart is None:
        return ""
    scores = np.asarray(metric.scores, np.float64)
    scores = scores[np.isfinite(scores)]
    low, high = np.quantile(scores, [0.05, 0.95])
    facts = [("lowest", scores.min()), ("5th percentile", low), ("mean", metric.mean), ("median", metric.median),
             ("95th percentile", high), ("highest", scores.max())]  # fmt: skip
    scatter, rho = elbo_plot(context)
    return fill(
        "distribution.html", chart=figure(chart), metric=metric, facts=facts, rho=rho,
        scatter=figure(scatter) if scatter else "",
    )  # fmt: skip


def spread_plot(metric: MetricSummary) -> Plot | None:
    """Histogram of a metric's scores."""
    scores = np.asarray(metric.scores, np.float64).tolist()
    return histogram_plot(scores, title=f"{metric.title} per scene", x_label=metric.title)


def elbo_plot(context: ReportContext) -> tuple[Plot | None, float]:
    """The first metric over the final ELBO, and Spearman's ρ; none for few scenes or where one never differs."""
    metric = next(iter(context.metrics.values()), None)
    if metric is None or context.elbo is None or len(context.elbo) != len(metric.scores):
        return None, float("nan")
    elbo, scores = np.asarray(context.elbo, np.float64), np.asarray(metric.scores, np.float64)
    good = np.isfinite(elbo) & np.isfinite(scores)
    if good.sum() < _FEWEST or np.ptp(elbo[good]) == 0 or np.ptp(scores[good]) == 0:
        return None, float("nan")
    names = [f"scene {place}" for place in range(len(elbo))]
    plotted = scatter_plot(elbo, scores, names, title=f"{metric.title} and ELBO", x_label="ELBO, nats per image",
                           unit=metric.title)  # fmt: skip
    return plotted, _rank_correlation(elbo[good], scores[good])


def _rank_correlation(x: Array, y: Array) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)
