"""The tables of a comparison, made of its facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iodine_kit.evaluation.tables import interval_of, title_of
from iodine_kit.formatting import estimated
from iodine_kit.tables import Cell, Table, shown

Facts = Mapping[str, Any]


def model_table(facts: Facts) -> Table:
    """A row per metric, a column per model: mean ± deviation over seeds, and the interval over scenes."""
    models = facts["models"]
    heads = ("metric", *(f"{model['name']}{_seeds(model)}" for model in models))
    rows = [
        (title_of(metric), *(_figure(model["metrics"][name]) for model in models))
        for name, metric in facts["metrics"].items()
    ]
    height, width = facts["resolution"]
    caption = f"{facts['dataset']} {facts['split']}, {facts['scenes']} scenes at {height}×{width}"
    return Table(heads, rows, caption, _notes(facts))


def pair_tables(facts: Facts) -> list[Table]:
    """How every other model differs from the first."""
    level = facts["bootstrap"]["level"]
    heads = ("metric", "difference", f"{100 * level:g} % interval", "p", "better", "worse", "equal", "n")
    tables = []
    for pair in facts["pairs"]:
        rows = []
        for name, metric in facts["metrics"].items():
            one = pair["metrics"][name]
            counts = (one["better"], one["worse"], one["equal"], one["n"])
            rows.append((title_of(metric), one["difference"], interval_of(one), p_of(one, facts), *counts))
        tables.append(Table(heads, rows, f"{pair['b']} minus {pair['a']}, on the same scenes"))
    return tables


def p_of(figures: Facts, facts: Facts) -> Cell:
    """The p of a test; at its floor, below which so many flips of signs cannot see, it is a bound."""
    p, floor = figures["p"], 1 / (facts["test"]["flips"] + 1)
    return f"≤ {shown(p)}" if p is not None and p <= floor * (1 + 1e-9) else p


def long_table(facts: Facts) -> Table:
    """One row per model and metric, with its difference from the first model, in full: for programs."""
    heads = ("model", "seeds", "metric", "title", "unit", "better side", "mean", "sd over seeds", "interval", "n",
             "compared with", "difference", "difference interval", "p", "better", "worse", "equal",
             "paired n")  # fmt: skip
    pairs = {pair["b"]: pair for pair in facts["pairs"]}
    rows: list[tuple[Cell, ...]] = []
    for model in facts["models"]:
        for name, metric in facts["metrics"].items():
            one = model["metrics"][name]
            told = (model["name"], len(model["seeds"]), name, metric["title"], metric["unit"], metric["better"])
            pair = pairs.get(model["name"])
            rows.append((*told, one["mean"], one["sd"], interval_of(one), one["n"], *_pair(pair, name)))
    return Table(heads, rows)


def _pair(pair: Facts | None, name: str) -> tuple[Cell, ...]:
    if pair is None:
        return (None,) * 8
    one = pair["metrics"][name]
    counts = (one["better"], one["worse"], one["equal"], one["n"])
    return (pair["a"], one["difference"], interval_of(one), one["p"], *counts)


def _figure(figures: Facts) -> str:
    return estimated(figures["mean"], figures["interval"], figures["sd"])


def _seeds(model: Facts) -> str:
    count = len(model["seeds"])
    return f" ({count} seeds)" if count > 1 else ""


def _notes(facts: Facts) -> list[str]:
    notes = [f"{m['title']}: {m['convention']}" for m in facts["metrics"].values()]
    notes += [f"{name}: left out, {reason}" for name, reason in facts["left_out"].items()]
    drawn = facts["bootstrap"]
    if any(len(model["seeds"]) > 1 for model in facts["models"]):
        notes.append("±: standard deviation over seeds of training; the interval is over scenes and not over seeds")
    if drawn["resamples"]:
        notes.append(f"Intervals: {drawn['method']}; {drawn['resamples']:,} resamples, seed {drawn['seed']}")
    if facts["pairs"]:
        notes.append(
            "A mean is over the scenes that have a score in that run, a difference over those that have one in both; n "
            "tells how many, and under the convention 'deepmind' the prediction decides which"
        )
        notes.append(f"p: {facts['test']['method']}, not corrected for the number of comparisons")
    return notes
