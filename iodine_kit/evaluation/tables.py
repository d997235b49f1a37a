"""The tables of an evaluation's summary, made of its facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from iodine_kit.tables import Cell, Interval, Table

Facts = Mapping[str, Any]
_GROUPS = {"objects": "number of visible objects", "size": "median object size"}


def title_of(metric: Facts) -> str:
    """A metric's title, its unit if it has one, and an arrow to the better side."""
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    return f"{metric['title']}{unit} {'↑' if metric['better'] == 'higher' else '↓'}"


def headline(facts: Facts) -> str:
    """What was evaluated, and how, in one line."""
    height, width = facts["resolution"]
    slots = "" if facts["slots"] is None else f", K={facts['slots']}"
    chosen = f", lowest loss of {facts['restarts']}" if facts["restarts"] > 1 else ""
    where = f"{facts['dataset']} {facts['split']}, {facts['scenes']} scenes at {height}×{width}"
    steps = "" if facts["steps"] is None else f", T={facts['steps']}"
    model = f"{facts['model']}: " if facts["model"] else ""
    return f"{model}{where}{slots}{steps}{chosen}"


def metric_table(facts: Facts) -> Table:
    """All metrics with intervals, and how many scenes have no score or one by convention."""
    level = facts["bootstrap"]["level"]
    heads = ("metric", "mean", f"{100 * level:g} % interval", "sd", "median", "n", "undefined", "degenerate")
    rows = [
        (title_of(m), m["mean"], interval_of(m), m["std"], m["median"], m["n"], m["undefined"], m["degenerate"])
        for m in facts["metrics"].values()
    ]
    notes = [f"{m['title']}: {m['convention']}" for m in facts["metrics"].values()]
    return Table(heads, rows, headline(facts), [*notes, *_conditions(facts)])


def group_tables(facts: Facts) -> list[Table]:
    """Metrics by number and by size of objects, and what became of objects by their size."""
    tables = [_group_table(facts, name, groups) for name, groups in facts["groups"].items() if groups]
    objects = facts["objects"]["by_size"]
    if objects:
        rows = [(g["label"], g["n"], g["iou"]["mean"], interval_of(g["iou"]), g["recovered"]) for g in objects]
        interval = f"{100 * facts['bootstrap']['level']:g} % interval"
        heads = ("object size", "n", "IoU of matched slot", interval, "IoU ≥ 0.5")
        tables.append(Table(heads, rows, "Objects by size"))
    return tables


def long_table(facts: Facts) -> Table:
    """One row per group and metric, in full: for programs."""
    heads = ("group", "label", "metric", "title", "unit", "better", "mean", "interval", "std", "median", "n",
             "undefined", "degenerate")  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for group, label, metrics in _all_groups(facts):
        for name, figures in metrics.items():
            whole = facts["metrics"][name]
            more = [figures.get(key) for key in ("std", "median", "n", "undefined", "degenerate")]
            told = (group, label, name, whole["title"], whole["unit"], whole["better"], figures["mean"])
            rows.append((*told, interval_of(figures), *more))
    return Table(heads, rows)


def _all_groups(facts: Facts) -> Iterator[tuple[str, str, Facts]]:
    yield "all", "", facts["metrics"]
    for name, groups in facts["groups"].items():
        for group in groups:
            yield name, group["label"], group["metrics"]


def _group_table(facts: Facts, name: str, groups: list[Facts]) -> Table:
    """A column per group, so that many metrics still fit on a page."""
    rows: list[tuple[Cell, ...]] = [("scenes", *(group["n"] for group in groups))]
    for metric, told in facts["metrics"].items():
        rows.append((title_of(told), *(group["metrics"][metric]["mean"] for group in groups)))
    return Table((_GROUPS[name], *(group["label"] for group in groups)), rows, f"Means by {_GROUPS[name]}")


def interval_of(figures: Facts) -> Interval | None:
    """Both ends of a figure's interval, if it has one."""
    return None if figures["interval"] is None else (figures["interval"][0], figures["interval"][1])


def _conditions(facts: Facts) -> list[str]:
    drawn = facts["bootstrap"]
    spread = f"Intervals: {drawn['method']}; {drawn['resamples']:,} resamples, seed {drawn['seed']}"
    return [f"Resizing: {facts['resize']}", *([spread] if drawn["resamples"] else [])]
