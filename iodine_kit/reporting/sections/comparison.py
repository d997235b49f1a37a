"""Several runs side by side, on the same scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from iodine_kit.formatting import estimated
from iodine_kit.reporting.charts import Plot, Series, figure, rows_plot
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill
from iodine_kit.tables import Cell, Table

ORDER = 15
TITLE = "Comparison"
_LONGEST = 30
"""Letters of a model's name beside a chart."""


def render(context: ReportContext) -> Markup | str:
    """Every model's means, and how each differs from the first; "" without a comparison."""
    facts = context.comparison
    if not facts:
        return ""
    charts = [figure(plotted) for plotted in comparison_plots(facts)]
    tables = comparison_tables(facts)
    return fill("comparison.html", charts=charts, tables=tables, level=f"{100 * facts['bootstrap']['level']:g} %")


def comparison_plots(facts: Mapping[str, Any]) -> list[Plot]:
    """The first metric of every model with its interval, and by how much each differs from the first model."""
    name, metric = next(iter(facts["metrics"].items()))
    short = short_names([model["name"] for model in facts["models"]])
    means = [(label, model["metrics"][name]) for label, model in zip(short, facts["models"], strict=True)]
    pairs = [(label, pair["metrics"][name]) for label, pair in zip(short[1:], facts["pairs"], strict=True)]
    title = metric["title"]
    drawn = [
        _rows(means, "mean", title=title, x_label="mean over scenes", unit="interval over scenes"),
        _rows(pairs, "difference", title=f"{title}, difference from the first model", x_label="mean over scenes",
              unit="paired", at=(0.0, "")),
    ]  # fmt: skip
    return [plotted for plotted in drawn if plotted]


def short_names(names: Sequence[str]) -> list[str]:
    """Names that leave a chart room: without what all begin with before a bracket, and cut after thirty letters."""
    heads = {name.partition(" (")[0] for name in names}
    bare = [name.partition(" (")[2].removesuffix(")") for name in names]
    told = bare if len(heads) == 1 and all(bare) else list(names)
    cut = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in told]
    alike = len(set(cut)) < len(cut)
    return [f"{place}: {name[: _LONGEST - 4]}" for place, name in enumerate(cut, 1)] if alike else cut


def _rows(figures: Sequence[tuple[str, Mapping[str, Any]]], key: str, **how: Any) -> Plot | None:
    known = [(label, one) for label, one in figures if one[key] is not None]
    if not known:
        return None
    ends = [one["interval"] or (one[key], one[key]) for _, one in known]
    points = Series(
        "",
        range(len(known)),
        [one[key] for _, one in known],
        [low for low, _ in ends],
        [high for _, high in ends],
        line=False,
    )
    return rows_plot([label for label, _ in known], [points], **how)


def comparison_tables(facts: Mapping[str, Any]) -> list[Table]:
    """A table of means, and one of paired differences for every model but the first."""
    models, metrics = facts["models"], facts["metrics"]
    heads = ("", *(model["name"] + _seeds(model) for model in models))
    rows = [(metric["title"], *(_mean(m["metrics"][name]) for m in models)) for name, metric in metrics.items()]
    level = f"{100 * facts['bootstrap']['level']:g} %"
    what = f"{facts['scenes']:,} scenes of {facts['dataset']} {facts['split']}"
    tables = [Table(heads, rows, f"Means with {level} intervals over {what}.")]
    for pair in facts["pairs"]:
        lines = [_difference(metric["title"], pair["metrics"][name]) for name, metric in metrics.items()]
        caption = f"{pair['b']} minus {pair['a']}, scene by scene; p of a sign-flip test, not corrected for many tests."
        tables.append(Table(("", "difference", "interval", "p", "better", "worse", "equal"), lines, caption))
    return tables


def _seeds(model: Mapping[str, Any]) -> str:
    return f" ({len(model['seeds'])} seeds)" if len(model["seeds"]) > 1 else ""


def _mean(figures: Mapping[str, Any]) -> str:
    return estimated(figures["mean"], figures["interval"], figures["sd"])


def _difference(title: str, one: Mapping[str, Any]) -> tuple[Cell, ...]:
    ends = (one["interval"][0], one["interval"][1]) if one["interval"] else None
    return title, one["difference"], ends, one["p"], one["better"], one["worse"], one["equal"]
