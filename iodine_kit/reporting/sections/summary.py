"""What was measured, on what, and by which convention."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from iodine_kit.formatting import interval
from iodine_kit.reporting.context import GROUPS, MetricSummary, ReportContext
from iodine_kit.reporting.templating import fill

ORDER = 10
TITLE = "Summary"


def render(context: ReportContext) -> Markup | str:
    """The first metric as a headline, then all of them; see :class:`iodine_kit.reporting.sections.SectionPlugin`."""
    metrics = list(context.metrics.values())
    headline = metrics[0] if metrics else None
    return fill(
        "summary.html",
        context=context,
        groups=grouped(metrics),
        headline=headline,
        interval=interval(headline.interval) if headline and headline.interval else "",
        level=f"{100 * context.level:g} %",
        degenerate=any(metric.degenerate for metric in metrics),
        published=any(metric.published for metric in metrics),
        metrics=metrics,
    )


def grouped(metrics: Sequence[MetricSummary]) -> list[tuple[str, list[MetricSummary]]]:
    """Metrics by what they are about, the headline's group first; groups without any are left out."""
    names = [*GROUPS, *dict.fromkeys(metric.group for metric in metrics if metric.group not in GROUPS)]
    groups = [(name, [metric for metric in metrics if metric.group == name]) for name in names]
    found = [group for group in groups if group[1]]
    return sorted(found, key=lambda group: metrics[0].group != group[0])
