"""What was measured, on what, and by which convention."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from iodine_kit.evaluation.tables import metric_table
from iodine_kit.formatting import interval, spread
from iodine_kit.reporting.context import GROUPS, MetricSummary, ReportContext
from iodine_kit.reporting.templating import fill
from iodine_kit.tables import Table

ORDER = 10
TITLE = "Summary"


def render(context: ReportContext) -> Markup | str:
    """The first metric as a headline, then all of them; see :class:`iodine_kit.reporting.sections.SectionPlugin`."""
    metrics = list(context.metrics.values())
    headline = metrics[0] if metrics else None
    groups = grouped(context.metrics)
    return fill(
        "summary.html",
        context=context,
        tables=[(name, metrics_table(context, members)) for name, members in groups],
        headline=headline,
        interval=interval(headline.interval) if headline and headline.interval else "",
        level=f"{100 * context.level:g} %",
        metrics=metrics,
        over_seeds=over_seeds(context),
    )


def over_seeds(context: ReportContext) -> str:
    """The first metric of the first evaluation's model, as mean and deviation over seeds; "" if it has one seed."""
    one = context.seeds.metrics.get(next(iter(context.metrics), "")) if context.seeds else None
    return "" if one is None or one.mean is None or one.sd is None else spread(one.mean, one.sd)


def metrics_table(context: ReportContext, metrics: Mapping[str, MetricSummary]) -> Table:
    """Some of the report's metrics, in the columns that all of them need."""
    published = {name: one.published for name, one in context.metrics.items()}
    degenerate = any(one.degenerate for one in context.metrics.values())
    table = metric_table(metrics, context.level, published=published)
    return table if degenerate else table.without("degenerate")


def grouped(metrics: Mapping[str, MetricSummary]) -> list[tuple[str, dict[str, MetricSummary]]]:
    """Metrics by what they are about, the first metric's group first; groups without any are omitted."""
    names = [*GROUPS, *dict.fromkeys(metric.group for metric in metrics.values() if metric.group not in GROUPS)]
    groups = [(name, {key: one for key, one in metrics.items() if one.group == name}) for name in names]
    first = next(iter(metrics.values())).group if metrics else ""
    return sorted((group for group in groups if group[1]), key=lambda group: first != group[0])
