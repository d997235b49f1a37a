"""Several models side by side, on the same scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from iodine_kit.evaluation.comparison_tables import model_table, pair_tables
from iodine_kit.evaluation.facts import ComparisonFacts, Ends
from iodine_kit.reporting.charts import Plot, figure, interval_series, rows_plot
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill

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
    tables, level = [model_table(facts), *pair_tables(facts)], f"{100 * facts.bootstrap.level:g} %"
    return fill("comparison.html", charts=charts, tables=tables, level=level, test=facts.test.method)


def comparison_plots(facts: ComparisonFacts) -> list[Plot]:
    """The first metric of every model with its interval, and by how much each differs from the first model."""
    name, metric = next(iter(facts.metrics.items()))
    short = short_names([model.name for model in facts.models])
    means = [model.metrics[name] for model in facts.models]
    pairs = [pair.metrics[name] for pair in facts.pairs]
    drawn = [
        _rows(short, [(one.mean, one.interval) for one in means],
              title=metric.title, x_label="mean over scenes", unit="interval over scenes"),
        _rows(short[1:], [(one.difference, one.interval) for one in pairs],
              title=f"{metric.title}, difference from the first model", x_label="mean over scenes", unit="paired",
              at=(0.0, "")),
    ]  # fmt: skip
    return [plotted for plotted in drawn if plotted]


def short_names(names: Sequence[str]) -> list[str]:
    """Names that leave a chart room: without what all begin with before a bracket, and cut after thirty letters."""
    heads = {name.partition(" (")[0] for name in names}
    bare = [name.partition(" (")[2].removesuffix(")") for name in names]
    names = bare if len(heads) == 1 and all(bare) else list(names)
    cut = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in names]
    alike = len(set(cut)) < len(cut)
    return [f"{place}: {name[: _LONGEST - 4]}" for place, name in enumerate(cut, 1)] if alike else cut


def _rows(labels: Sequence[str], means: Sequence[tuple[float | None, Ends | None]], **how: Any) -> Plot | None:
    known = [(label, one) for label, one in zip(labels, means, strict=True) if one[0] is not None]
    if not known:
        return None
    return rows_plot([label for label, _ in known], [interval_series([one for _, one in known])], **how)
