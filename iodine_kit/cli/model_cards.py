"""What ``iodine-kit models`` lists and shows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iodine_kit.cli.console import err
from iodine_kit.cli.listings import working
from iodine_kit.config import flatten
from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.formatting import byte_size, estimated
from iodine_kit.pretrained import PREFIX, Card, card, names
from iodine_kit.pretrained.card import Scores

Rows = Sequence[Mapping[str, Any]]
FIRST = "ari"
"""The metric that a list shows; else the first one that was evaluated."""


def cards() -> list[dict[str, Any]]:
    """Every pretrained model: name, summary, data set, size of images, bytes, and its first score with its settings."""
    found = []
    for name in names():
        try:
            found.append(_row(card(name)))
        except ArtifactCorruptError as error:
            err.print(f"left out: {error}", markup=False, style="dim")
    return found


def nets() -> list[dict[str, Any]]:
    """Every model that can be trained, with its presets."""
    from iodine_kit.models import MODELS

    return [{"name": name, "presets": list(plugin.PRESETS)} for name, plugin in working(MODELS)]


def _row(one: Card) -> dict[str, Any]:
    scores = one.scores[0]
    name = FIRST if FIRST in scores.metrics else next(iter(scores.metrics))
    metric = scores.metrics[name]
    return {
        "name": one.name,
        "summary": one.summary,
        "dataset": one.data.dataset,
        "size": [one.images.height, one.images.width],
        "bytes": one.weights_bytes,
        "metric": metric.title,
        "mean": metric.mean,
        "interval": metric.interval,
        "inferred": _settings(scores),
    }


SHOWN = ("ari", "miou-fg", "miou", "mse", "elbo")
"""Metrics of a card in a terminal; ``--json`` has all."""


def show_models(found: Rows, trainable: Rows) -> None:
    """A table of pretrained models, and one of nets that can be trained."""
    console = Console(file=sys.stdout, highlight=False)
    if found:
        table = _table("pretrained", "images", "size", "score", "inferred with")
        for row in found:
            height, width = row["size"]
            score = f"{row['metric']} {_figure(row['mean'], row['interval'])}"
            size = byte_size(row["bytes"])
            table.add_row(*map(escape, (PREFIX + row["name"], f"{height}×{width}", size, score, row["inferred"])))
        console.print(table)
    else:
        err.print("no pretrained models ship with this version", markup=False, style="dim")
    table = _table("to train", "presets")
    for row in trainable:
        table.add_row(escape(row["name"]), escape(", ".join(row["presets"])))
    console.print(table)


def show_card(one: Card) -> None:
    """A card in full."""
    out = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)
    images = sum(phase.images for phase in one.training)
    seconds = [phase.seconds for phase in one.training if phase.seconds is not None]
    out.print(f"{PREFIX}{one.name}\n{one.summary}\n")
    pairs = [
        ("data", f"{one.data.dataset}, protocol {one.data.protocol or 'none'}, key {one.data.key}"),
        ("images", f"{one.images.height}×{one.images.width} pixels"),
        ("weights", f"{one.weights_bytes:,} bytes, {one.parameters:,} parameters, sha256 {one.weights_sha256}"),
        ("training", f"{images:,} images, {sum(seconds) / 3600:.2f} hours" if seconds else f"{images:,} images"),
        ("inference", _values(one.inference.model_dump())),
        ("licence", one.licence),
        ("made again by", one.remake),
    ]
    for label, value in pairs:
        out.print(f"{label:14} {value}")
    for scores in one.scores:
        out.print(f"\n{_data(scores)}, {scores.scenes:,} scenes of '{scores.split}', {_settings(scores)}")
        for metric in (scores.metrics[name] for name in SHOWN if name in scores.metrics):
            unit = f" {metric.unit}" if metric.unit else ""
            out.print(f"  {metric.title}: {_figure(metric.mean, metric.interval)}{unit}, n = {metric.n:,}")
        if hidden := len(scores.metrics.keys() - set(SHOWN)):
            out.print(f"  {hidden} more metrics: --json")
    for number_, phase in enumerate(one.training, 1):
        out.print(f"\nphase {number_}: {phase.run}, {phase.steps:,} steps, {phase.images:,} images, {phase.device}")
        out.print(f"  code {phase.commit}, finished {phase.finished}")
        out.print(f"  train: {_values(phase.train)}")
        out.print(f"  model: {_values(phase.model)}")
    out.print(f"\ndata set: {_values(one.data.config)}")


def _data(scores: Scores) -> str:
    """The data set; of a generated one the seed, by which anyone can make it again."""
    seed = scores.dataset_config.get("seed")
    return f"{scores.dataset}, generated with seed {seed}" if seed is not None else scores.dataset


def _settings(scores: Scores) -> str:
    best = f", lowest loss of {scores.restarts}" if scores.restarts > 1 else ""
    return f"K = {scores.slots}, T = {scores.steps}{best}"


def _figure(mean: float | None, interval: Sequence[float] | None) -> str:
    return "undefined" if mean is None else estimated(mean, interval)


def _values(values: Mapping[str, Any]) -> str:
    leaves = flatten(values).items()
    return ", ".join(f"{name} {value}" for name, value in leaves if value not in (None, "", [], {}))


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, no_wrap=head not in ("presets", "score", "inferred with"))
    return table
