"""Where the model does well and where not: by number of objects, by size, and the scenes at both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from iodine_kit.formatting import DASH, estimated
from iodine_kit.reporting.charts import Plot, Series, figure, rows_plot
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill
from iodine_kit.tables import Cell, Table

ORDER = 30
TITLE = "Breakdown"
_COLUMNS = 5
_BY = {"objects": "Scenes by their number of visible objects", "size": "Scenes by the median size of their objects"}


def render(context: ReportContext) -> Markup | str:
    """Tables and charts of the groups, and links to the worst and best scenes; "" if there is nothing to divide."""
    places = {scene.key: place for place, scene in enumerate(context.scenes)}
    ends = {"Lowest": context.worst, "Highest": context.best}
    tables = [*group_tables(context), *object_tables(context)]
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
    for by, groups in context.groups.items():
        figures = [group["metrics"].get(name) for group in groups]
        if metric is None or not groups or any(one is None or one["mean"] is None for one in figures):
            continue
        ends = [one["interval"] or (one["mean"], one["mean"]) for one in figures]
        points = Series(
            "",
            range(len(groups)),
            [one["mean"] for one in figures],
            [e[0] for e in ends],
            [e[1] for e in ends],
            line=False,
        )
        names = [f"{group['label']} ({group['n']:,})" for group in groups]
        title = "By number of objects" if by == "objects" else "By size of objects"
        plots.append(rows_plot(names, [points], title=title, x_label=metric.title, unit="mean, interval"))
    return [plotted for plotted in plots if plotted is not None]


def group_tables(context: ReportContext) -> list[Table]:
    """A row for every group: its scenes, and the means of the first metrics with their intervals."""
    shown = list(context.metrics.items())[:_COLUMNS]
    heads = ("", "scenes", *(metric.title for _, metric in shown))
    tables = []
    for by, groups in context.groups.items():
        if groups:
            rows = [(g["label"], g["n"], *(_mean(g["metrics"].get(name)) for name, _ in shown)) for g in groups]
            tables.append(Table(heads, rows, f"{_BY.get(by, by)}: mean and interval."))
    return tables


def object_tables(context: ReportContext) -> list[Table]:
    """Objects by their size."""
    if not context.objects:
        return []
    rows: Sequence[Sequence[Cell]] = [(o["label"], o["n"], _mean(o["iou"]), o["recovered"]) for o in context.objects]
    return [Table(("", "objects", "IoU with its slot", "share with IoU ≥ 0.5"), rows, "Objects by their size.")]


def _mean(figures: Mapping[str, Any] | None) -> str:
    return estimated(figures["mean"], figures.get("interval")) if figures else DASH
