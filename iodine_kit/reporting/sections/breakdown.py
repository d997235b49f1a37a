"""The metrics of groups of scenes, by number and by size of objects, and the scenes with the worst and best scores."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from iodine_kit.evaluation.facts import SceneGroup
from iodine_kit.evaluation.tables import group_tables
from iodine_kit.reporting.charts import Plot, figure, interval_series, rows_plot
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill
from iodine_kit.tables import Table

ORDER = 30
TITLE = "Breakdown"


def render(context: ReportContext) -> Markup | str:
    """Tables and charts of the groups, and links to the worst and best scenes; "" if there is nothing to divide."""
    places = {scene.key: place for place, scene in enumerate(context.scenes)}
    ends = {"Lowest": context.worst, "Highest": context.best}
    tables = breakdown_tables(context)
    linked = {
        name: [(key, places.get(key)) for key in keys] for name, keys in ends.items() if any(k in places for k in keys)
    }
    if not tables and not linked:
        return ""
    title = next(iter(context.metrics.values())).title if context.metrics else "score"
    charts = [figure(plotted) for plotted in breakdown_plots(context)]
    return fill("breakdown.html", charts=charts, tables=tables, ends=linked, title=title)


def breakdown_plots(context: ReportContext) -> list[Plot]:
    """The first metric with its interval for every group."""
    name, metric = next(iter(context.metrics.items()), ("", None))
    plots = []
    for title, groups in _divisions(context):
        means = [group.metrics.get(name) for group in groups]
        if metric is None or not groups or any(one is None or one.mean is None for one in means):
            continue
        points = interval_series([(one.mean, one.interval) for one in means if one is not None])
        labels = [f"{group.label} ({group.n:,})" for group in groups]
        plots.append(rows_plot(labels, [points], title=title, x_label=metric.title, unit="mean, interval"))
    return [plotted for plotted in plots if plotted is not None]


def breakdown_tables(context: ReportContext) -> list[Table]:
    """Metrics by group, and objects by size."""
    if context.groups is None or context.objects is None:
        return []
    return group_tables(context.metrics, context.groups, context.objects, context.level)


def _divisions(context: ReportContext) -> list[tuple[str, Sequence[SceneGroup]]]:
    if context.groups is None:
        return []
    return [("By number of objects", context.groups.objects), ("By size of objects", context.groups.size)]
