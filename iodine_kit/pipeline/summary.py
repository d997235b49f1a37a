"""The end of a matrix: the results of its members, and one table of all metrics with the spread over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from iodine_kit.artifacts.evaluations import evaluation_facts
from iodine_kit.config import short_keys
from iodine_kit.errors import IodineKitError
from iodine_kit.evaluation.facts import MetricFacts
from iodine_kit.evaluation.tables import title_of
from iodine_kit.formatting import DASH, number, setting, spread
from iodine_kit.pipeline.execution import Chain, Made
from iodine_kit.pipeline.graph import Node
from iodine_kit.pipeline.matrix import SEED, Member
from iodine_kit.tables import Cell, Table


@dataclass(frozen=True)
class Result:
    """What a member has made.

    Attributes:
        artifacts: by role, those that are made.
        metrics: of its evaluation; empty without one.
        error: why it failed; ``None`` if it did not.
    """

    member: Member
    artifacts: Chain
    metrics: Mapping[str, MetricFacts] = field(default_factory=dict)
    error: IodineKitError | None = None

    def as_json(self) -> dict[str, Any]:
        """The facts in JSON types."""
        failed = {"error": str(self.error), "exit_status": self.error.exit_status} if self.error else {}
        return {
            "name": self.member.name,
            "settings": dict(self.member.settings),
            "artifacts": {role: str(artifact.path) for role, artifact in self.artifacts.items()},
            "metrics": {name: metric.as_json() for name, metric in self.metrics.items()},
            **failed,
        }


@dataclass(frozen=True)
class Spread:
    """Members that differ only in the seed of training.

    Attributes:
        settings: what they have in common, of the keys of the matrix.
        seeds: their seeds.
        metrics: by name, the mean, the sample standard deviation and the number of the members' means; a member without
            the metric, or for which it is undefined, does not count. The deviation is ``None`` for fewer than two.
    """

    settings: Mapping[str, Any]
    seeds: Sequence[Any]
    metrics: Mapping[str, tuple[float | None, float | None, int]]

    def as_json(self) -> dict[str, Any]:
        """The facts in JSON types."""
        metrics = {name: {"mean": mean, "sd": sd, "n": n} for name, (mean, sd, n) in self.metrics.items()}
        return {"settings": dict(self.settings), "seeds": list(self.seeds), "metrics": metrics}


def collect(
    members: Sequence[Member], nodes: Sequence[Node], made: Made, failed: Mapping[Member, IodineKitError]
) -> list[Result]:
    """The results of all members, in their order."""
    results = []
    for member in members:
        chain = {node.role: made[node] for node in nodes if member in node.members and node in made}
        metrics = evaluation_facts(chain["evaluation"]).metrics if "evaluation" in chain else {}
        results.append(Result(member, chain, metrics, failed.get(member)))
    return results


def spreads(results: Sequence[Result]) -> list[Spread]:
    """The spread of each metric over seeds, for every two or more evaluated members that differ only in the seed."""
    groups: dict[str, list[Result]] = {}
    for result in (one for one in results if one.metrics and SEED in one.member.settings):
        groups.setdefault(repr(_without_seed(result)), []).append(result)
    return [
        Spread(
            _without_seed(group[0]),
            [one.member.settings[SEED] for one in group],
            {name: _spread([one.metrics[name].mean for one in group if name in one.metrics]) for name in _names(group)},
        )
        for group in groups.values()
        if len(group) > 1
    ]


def summary_tables(results: Sequence[Result]) -> list[Table]:
    """The mean of each metric over scenes for each member, and its spread over seeds: the same table in two layouts.

    In the first one, the longer list is downwards. Members that differ only in the seed are together.
    """
    names = _names(results)
    titles = {name: title_of(metric) for one in reversed(results) for name, metric in one.metrics.items()}
    columns = dict(_columns(results, names))
    caption = "mean over scenes, for each member of the matrix"
    caption += ", and mean ± sd over seeds" if len(columns) > len(results) else ""
    rows = [[titles[name], *cells] for name, cells in zip(names, zip(*columns.values(), strict=True), strict=True)]
    downwards = Table(["metric", *columns], rows, caption)
    across = Table(["member", *titles.values()], [[head, *cells] for head, cells in columns.items()], caption)
    return [downwards, across] if len(columns) <= len(names) else [across, downwards]


def _columns(results: Sequence[Result], names: Sequence[str]) -> Iterator[tuple[str, list[Cell]]]:
    """(head, a cell for each metric) of each member; after members that differ only in the seed, of their spread."""
    groups: dict[str, list[Result]] = {}
    for one in results:
        groups.setdefault(repr(_without_seed(one)), []).append(one)
    known = {repr(one.settings): one for one in spreads(results)}
    for mark, group in groups.items():
        for one in group:
            yield one.member.name, [one.metrics[name].mean if name in one.metrics else _missing(one) for name in names]
        if mark in known:
            yield _head(known[mark]), [_cell(known[mark], name) for name in names]


def _head(group: Spread) -> str:
    shown = short_keys([SEED, *group.settings])
    common = ",".join(f"{shown[key]}={setting(value).replace(' ', '')}" for key, value in group.settings.items())
    return f"{common}: {len(group.seeds)} seeds" if common else f"mean ± sd of {len(group.seeds)} seeds"


def _names(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(name for one in results for name in one.metrics))


def _without_seed(result: Result) -> dict[str, Any]:
    return {key: value for key, value in result.member.settings.items() if key != SEED}


def _spread(means: Sequence[float | None]) -> tuple[float | None, float | None, int]:
    values = [mean for mean in means if mean is not None]
    return fmean(values) if values else None, stdev(values) if len(values) > 1 else None, len(values)


def _cell(group: Spread, metric: str) -> str | None:
    if metric not in group.metrics:
        return None
    mean, sd, n = group.metrics[metric]
    if mean is None:
        return DASH
    shown = number(mean) if sd is None else spread(mean, sd)
    return shown if n == len(group.seeds) else f"{shown} (n = {n})"


def _missing(result: Result) -> str | None:
    return "failed" if result.error else None


def raise_failed(results: Sequence[Result]) -> None:
    """If members failed, raise an error that names them, of the class of the first one's error."""
    failed = [(one.member.name, one.error) for one in results if one.error]
    if failed:
        others = ", and the others are complete" if len(failed) < len(results) else ""
        shown = "; ".join(f"{name}: {error}" for name, error in failed)
        raise type(failed[0][1])(f"{len(failed)} of {len(results)} members failed{others}: {shown}")
