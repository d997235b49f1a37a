"""How the headline metric is spread over scenes: a mean may hide a few scenes that fail."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from iodine_kit.reporting.charts import histogram
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill

ORDER = 40
TITLE = "Distribution"


def render(context: ReportContext) -> Markup | str:
    """Histogram of the first metric's score per scene; "" if no scene has one."""
    metric = next(iter(context.metrics.values()), None)
    if metric is None:
        return ""
    scores = np.asarray(metric.scores, np.float64)
    scores = scores[np.isfinite(scores)]
    chart = histogram(scores.tolist(), title=f"{metric.title} per scene", x_label=metric.title)
    if not chart:
        return ""
    low, high = np.quantile(scores, [0.05, 0.95])
    facts = [("lowest", scores.min()), ("5th percentile", low), ("mean", metric.mean), ("median", metric.median),
             ("95th percentile", high), ("highest", scores.max())]  # fmt: skip
    return fill("distribution.html", chart=chart, metric=metric, facts=facts)
