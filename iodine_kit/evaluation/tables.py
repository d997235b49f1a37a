"""The tables of an evaluation, built once from its facts: the terminal, files and pages show the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from iodine_kit.evaluation.facts import (
    Better,
    Ends,
    EvaluationFacts,
    GroupMean,
    MetricDescription,
    ObjectFacts,
    SceneGroup,
    SceneGroups,
)
from iodine_kit.formatting import DASH, estimated, percent
from iodine_kit.metrics import RECOVERY_IOU
from iodine_kit.tables import Cell, Table

_OBJECTS, _SIZE = "number of visible objects", "median object size"


class Metric(Protocol):
    """What a table shows of a metric; means that are undefined are ``None`` or NaN."""

    @property
    def title(self) -> str:
        """Name of the metric, as tables show it."""

    @property
    def unit(self) -> str:
        """Unit of all its numbers; "" for a number without one."""

    @property
    def better(self) -> Better:
        """Whether higher or lower values are better."""

    @property
    def mean(self) -> float | None:
        """Mean over the ``n`` scenes."""

    @property
    def interval(self) -> Ends | None:
        """Low and high end of the mean's bootstrap interval; ``None`` without resamples."""

    @property
    def std(self) -> float | None:
        """Standard deviation over the ``n`` scenes."""

    @property
    def median(self) -> float | None:
        """Median over the ``n`` scenes."""

    @property
    def n(self) -> int:
        """Number of scenes that have a score."""

    @property
    def undefined(self) -> int:
        """Number of scenes without a score."""

    @property
    def degenerate(self) -> int:
        """Number of scenes whose score a convention decided."""


def title_of(metric: Metric | MetricDescription) -> str:
    """A metric's title, its unit if it has one, and an arrow to the better side."""
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.title}{unit} {'↑' if metric.better == 'higher' else '↓'}"


def interval_head(level: float) -> str:
    """Head of a column of intervals: ``"95 % interval"``."""
    return f"{100 * level:g} % interval"


def headline(facts: EvaluationFacts) -> str:
    """What was evaluated, and how, in one line."""
    height, width = facts.resolution
    slots = "" if facts.slots is None else f", K={facts.slots}"
    chosen = f", lowest loss of {facts.restarts}" if facts.restarts > 1 else ""
    steps = "" if facts.steps is None else f", T={facts.steps}"
    model = f"{facts.model}: " if facts.model else ""
    where = f"{facts.dataset} {facts.split}, {facts.scenes} scenes at {height}×{width}"
    return f"{model}{where}{slots}{steps}{chosen}"


def summary_tables(facts: EvaluationFacts) -> list[Table]:
    """All tables of an evaluation: metrics with their conventions, groups of scenes, objects by size."""
    metrics = metric_table(facts.metrics, facts.bootstrap.level, headline(facts), _notes(facts))
    return [metrics, *group_tables(facts.metrics, facts.groups, facts.objects, facts.bootstrap.level)]


def metric_table(
    metrics: Mapping[str, Metric],
    level: float,
    caption: str = "",
    notes: Sequence[str] = (),
    published: Mapping[str, str] | None = None,
) -> Table:
    """Means with intervals, and how many scenes have no score or one that a convention decided.

    Args:
        level: of the intervals, in (0, 1).
        published: the literature's value by metric name; without any, the table has no column for it.
    """
    heads = ["metric", "mean", interval_head(level), "sd", "median", "n", "undefined", "degenerate"]
    rows: list[Sequence[Cell]] = [
        (title_of(m), m.mean, m.interval, m.std, m.median, m.n, m.undefined, m.degenerate) for m in metrics.values()
    ]
    if published and any(published.values()):
        heads.append("published")
        rows = [(*row, published.get(name) or DASH) for name, row in zip(metrics, rows, strict=True)]
    return Table(heads, rows, caption, notes)


def empty_columns(metrics: Iterable[Metric]) -> list[str]:
    """Which of the columns "undefined" and "degenerate" hold only zeros."""
    metrics = list(metrics)
    counts = {"undefined": [one.undefined for one in metrics], "degenerate": [one.degenerate for one in metrics]}
    return [head for head, scenes in counts.items() if not any(scenes)]


def group_tables(
    metrics: Mapping[str, Metric | MetricDescription], groups: SceneGroups, objects: ObjectFacts, level: float
) -> list[Table]:
    """Metrics by number and by size of objects, and objects by their size; no table where all are alike.

    Args:
        metrics: those of the groups, by name.
        level: of the intervals, in (0, 1).
    """
    tables = [
        _group_table(metrics, by, members, level)
        for by, members in ((_OBJECTS, groups.objects), (_SIZE, groups.size))
        if members
    ]
    if objects.by_size:
        rows = [
            (group.label, group.n, group.iou.mean, group.iou.interval, group.recovered) for group in objects.by_size
        ]
        heads = ("object size", "n", "IoU of matched slot", interval_head(level), f"IoU ≥ {RECOVERY_IOU:g}")
        tables.append(Table(heads, rows, "Objects by size"))
    return tables


def long_table(facts: EvaluationFacts) -> Table:
    """One row per group and metric, for programs."""
    heads = ("group", "label", "metric", "title", "unit", "better", "mean", "interval", "std", "median", "n",
             "undefined", "degenerate")  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        ("all", "", name, m.title, m.unit, m.better, m.mean, m.interval, m.std, m.median, m.n, m.undefined,
         m.degenerate)
        for name, m in facts.metrics.items()
    ]  # fmt: skip
    for by, label, name, group in _group_means(facts):
        m = facts.metrics[name]
        described = (by, label, name, m.title, m.unit, m.better)
        rows.append((*described, group.mean, group.interval, None, None, group.n, None, None))
    return Table(heads, rows)


def _group_means(facts: EvaluationFacts) -> Iterator[tuple[str, str, str, GroupMean]]:
    for by, groups in (("objects", facts.groups.objects), ("size", facts.groups.size)):
        for group in groups:
            for name, mean in group.metrics.items():
                yield by, group.label, name, mean


def _group_table(
    metrics: Mapping[str, Metric | MetricDescription], by: str, groups: Sequence[SceneGroup], level: float
) -> Table:
    """A row per metric and a column per group, so that many metrics still fit on a page."""
    rows: list[tuple[Cell, ...]] = [("scenes", *(group.n for group in groups))]
    for name, metric in metrics.items():
        means = [group.metrics.get(name) for group in groups]
        rows.append((title_of(metric), *(estimated(one.mean, one.interval) if one else DASH for one in means)))
    return Table((by, *(group.label for group in groups)), rows, f"Means by {by}, with {interval_head(level)}s")


def _notes(facts: EvaluationFacts) -> list[str]:
    drawn = facts.bootstrap
    conventions = [f"{metric.title}: {metric.convention}" for metric in facts.metrics.values()]
    resampling = f"Intervals: {drawn.method}; {drawn.resamples:,} resamples, seed {drawn.seed}"
    remarks = [facts.remark.removesuffix(".")] if facts.remark else []
    share = facts.ignored_share
    ignored = [] if share is None else [f"Pixels to ignore: {ignored_note(share)}"]
    intervals = [resampling] if drawn.resamples else []
    resizing = [] if facts.unmasked else [f"Resizing: {facts.resize}"]
    return [*remarks, *conventions, *resizing, *ignored, *intervals]


def ignored_note(share: float) -> str:
    """The share of pixels to ignore, as a sentence."""
    return f"{percent(share)} of the pixels of true masks, which no metric of masks counts"
