"""Several runs side by side, on the same scenes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from iodine_kit.reporting.charts import Plot, figure
from iodine_kit.reporting.charts.series import Series, rows_plot
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.formatting import spread
from iodine_kit.reporting.tables import Cell, Table
from iodine_kit.reporting.templating import fill, page_table

ORDER = 15
TITLE = "Comparison"


def render(context: ReportContext) -> Markup | str:
    """Every model's means, and how each differs from the first; "" without a comparison."""
    facts = context.comparison
    if not facts:
        return ""
    charts = [figure(plotted) for plotted in [comparison_plot(facts)] if plotted]
    tables = [page_table(table) for table in comparison_tables(facts)]
    return fill("comparison.html", charts=charts, tables=tables, level=f"{100 * facts['bootstrap']['level']:g} %")


def comparison_plot(facts: Mapping[str, Any]) -> Plot | None:
    """The first metric of every model, with its interval over scenes."""
    name, metric = next(iter(facts["metrics"].items()))
    models = [model for model in facts["models"] if model["metrics"][name]["mean"] is not None]
    figures = [model["metrics"][name] for model in models]
    ends = [one["interval"] or (one["mean"], one["mean"]) for one in figures]
    points = Series(
        "",
        range(len(figures)),
        [one["mean"] for one in figures],
        [e[0] for e in ends],
        [e[1] for e in ends],
        line=False,
    )
    names = [model["name"] for model in models]
    return rows_plot(names, [points], title=metric["title"], x_label="mean over scenes", unit="interval over scenes")


def comparison_tables(facts: Mapping[str, Any]) -> list[Table]:
    """A table of means, and one of paired differences for every model but the first."""
    models, metrics = facts["models"], facts["metrics"]
    heads = ("", *(model["name"] + _seeds(model) for model in models))
    rows = [(metric["title"], *(_mean(m["metrics"][name]) for m in models)) for name, metric in metrics.items()]
    tables = [Table(heads, rows, f"Means over {facts['scenes']:,} scenes of {facts['dataset']} {facts['split']}.")]
    for pair in facts["pairs"]:
        lines = [_difference(metric["title"], pair["metrics"][name]) for name, metric in metrics.items()]
        caption = f"{pair['b']} minus {pair['a']}, scene by scene; p of a sign-flip test, not corrected for many tests."
        tables.append(Table(("", "difference", "interval", "p", "better", "worse", "equal"), lines, caption))
    return tables


def _seeds(model: Mapping[str, Any]) -> str:
    return f" ({len(model['seeds'])} seeds)" if len(model["seeds"]) > 1 else ""


def _mean(figures: Mapping[str, Any]) -> str:
    if figures["mean"] is None:
        return "–"
    return spread(figures["mean"], math.nan if figures["sd"] is None else figures["sd"])


def _difference(title: str, one: Mapping[str, Any]) -> tuple[Cell, ...]:
    ends = (one["interval"][0], one["interval"][1]) if one["interval"] else None
    return title, one["difference"], ends, one["p"], one["better"], one["worse"], one["equal"]
