"""The tables of a comparison, built once from its facts: the terminal, files and pages show the same ones."""

from __future__ import annotations

from iodine_kit.evaluation.facts import ComparisonFacts, Difference, ModelFacts, PairFacts
from iodine_kit.evaluation.tables import interval_head, title_of
from iodine_kit.formatting import estimated, number
from iodine_kit.tables import Cell, Table


def model_table(facts: ComparisonFacts) -> Table:
    """A row per metric, a column per model: mean ± deviation over seeds, and the interval over scenes."""
    heads = ("metric", *(f"{model.name}{_seeds(model)}" for model in facts.models))
    rows = []
    for name, metric in facts.metrics.items():
        means = (model.metrics[name] for model in facts.models)
        rows.append((title_of(metric), *(estimated(one.mean, one.interval, one.sd) for one in means)))
    height, width = facts.resolution
    caption = f"{facts.dataset} {facts.split}, {facts.scenes} scenes at {height}×{width}"
    return Table(heads, rows, caption, _notes(facts))


def pair_tables(facts: ComparisonFacts) -> list[Table]:
    """How every other model differs from the first, a table for each."""
    heads = ("metric", "difference", interval_head(facts.bootstrap.level), "p", "better", "worse", "equal", "n")
    return [
        Table(
            heads,
            [(title_of(metric), *_cells(pair.metrics[name], facts)) for name, metric in facts.metrics.items()],
            f"{pair.b} minus {pair.a}, on the same scenes",
        )
        for pair in facts.pairs
    ]


def p_of(one: Difference, facts: ComparisonFacts) -> Cell:
    """The p-value of a difference; the smallest that so many flips of signs can give is an upper bound."""
    at_floor = one.p is not None and one.p <= facts.test.smallest * (1 + 1e-9)
    return f"≤ {number(one.p)}" if one.p is not None and at_floor else one.p


def long_table(facts: ComparisonFacts) -> Table:
    """One row per model and metric, with its difference from the first model, for programs."""
    heads = ("model", "seeds", "metric", "title", "unit", "better side", "mean", "sd over seeds", "interval", "n",
             "compared with", "difference", "difference interval", "p", "better", "worse", "equal",
             "paired n")  # fmt: skip
    pairs = {pair.b: pair for pair in facts.pairs}
    rows: list[tuple[Cell, ...]] = []
    for model in facts.models:
        for name, metric in facts.metrics.items():
            one = model.metrics[name]
            described = (model.name, len(model.seeds), name, metric.title, metric.unit, metric.better)
            rows.append((*described, one.mean, one.sd, one.interval, one.n, *_paired(pairs.get(model.name), name)))
    return Table(heads, rows)


def _cells(one: Difference, facts: ComparisonFacts) -> tuple[Cell, ...]:
    return one.difference, one.interval, p_of(one, facts), one.better, one.worse, one.equal, one.n


def _paired(pair: PairFacts | None, name: str) -> tuple[Cell, ...]:
    if pair is None:
        return (None,) * 8
    one = pair.metrics[name]
    return pair.a, one.difference, one.interval, one.p, one.better, one.worse, one.equal, one.n


def _seeds(model: ModelFacts) -> str:
    return f" ({len(model.seeds)} seeds)" if len(model.seeds) > 1 else ""


def _notes(facts: ComparisonFacts) -> list[str]:
    notes = [f"{metric.title}: {metric.convention}" for metric in facts.metrics.values()]
    notes += [f"{name}: omitted, {reason}" for name, reason in facts.left_out.items()]
    drawn = facts.bootstrap
    if any(len(model.seeds) > 1 for model in facts.models):
        notes.append("±: standard deviation over seeds of training; the interval is over scenes and not over seeds")
    if drawn.resamples:
        notes.append(f"Intervals: {drawn.method}; {drawn.resamples:,} resamples, seed {drawn.seed}")
    if facts.pairs:
        notes.append(
            "A mean is over the scenes with a score in that run, a difference over those with a score in both; n is "
            "their number, and under the convention 'deepmind' it depends on the prediction"
        )
        notes.append(f"p: {facts.test.method}, not corrected for the number of comparisons")
    return notes
