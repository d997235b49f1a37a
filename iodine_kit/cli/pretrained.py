"""The commands on models that ship with their weights: models and, for maintainers, package-model."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iodine_kit.cli.options import DEFAULT_STORE, StoreOption, store_at
from iodine_kit.process import print_json, print_path
from iodine_kit.system import to_path

if TYPE_CHECKING:
    from rich.table import Table

    from iodine_kit.pretrained import Card
    from iodine_kit.pretrained.card import Scores

Rows = Sequence[Mapping[str, Any]]
FIRST = "ari"
"""The metric that a list shows; if a model lacks it, the first one that was evaluated."""
SHOWN = ("ari", "miou-fg", "miou", "mse", "elbo")
"""Metrics of a card in a terminal; ``--json`` has all."""


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A pretrained model. Defaults to all.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the pretrained models and the models that can be trained, or show the card of one pretrained model.

    To segment with a pretrained model: iodine-kit infer --model pretrained:NAME
    """
    from iodine_kit import pretrained

    if name:
        card = pretrained.card(name)
        if as_json:
            print_json(card.model_dump(mode="json", by_alias=True))
        else:
            _show_card(card)
        return
    rows: dict[str, Any] = {"pretrained": _cards(), "models": _trainable()}
    if as_json:
        print_json(rows)
    else:
        _show_models(rows["pretrained"], rows["models"])


def package_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the pretrained model.")],
    evaluations: Annotated[
        list[str],
        typer.Argument(
            metavar="EVALUATION", help="Evaluations of one run; the settings of the first become the defaults."
        ),
    ],
    remake: Annotated[str, typer.Option(metavar="COMMAND", help="The command that makes the run again.")],
    summary: Annotated[str, typer.Option(help="What the model is, in one sentence.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "Apache-2.0",
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="DIR", parser=to_path, help="Folder of pretrained models. Defaults to the package's folder."
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model of this name.")] = False,
) -> None:
    """For maintainers: add the weights of a finished run, and a card made from its evaluations, to the package."""
    from iodine_kit import pretrained
    from iodine_kit.artifacts.evaluations import evaluation_facts
    from iodine_kit.stages.package_model import CardText, package

    place = store_at(store)
    given = [place.usable(place.open(one, "evaluation")) for one in evaluations]
    text = CardText(summary or f"IODINE, trained on {evaluation_facts(given[0]).dataset}", remake, licence)
    print_path(package(name, given, place, to or pretrained.HERE, text, overwrite=overwrite))


def _cards() -> list[dict[str, Any]]:
    """Every pretrained model: name, summary, data set, size of images, bytes, and its first score with its settings."""
    from iodine_kit import pretrained
    from iodine_kit.cli.console import err
    from iodine_kit.errors import ArtifactCorruptError

    rows = []
    for name in pretrained.names():
        try:
            rows.append(_row(pretrained.card(name)))
        except ArtifactCorruptError as error:
            err.print(f"omitted: {error}", markup=False, style="dim")
    return rows


def _trainable() -> list[dict[str, Any]]:
    """Every model that can be trained, with its presets."""
    from iodine_kit.cli.listings import working
    from iodine_kit.models import MODELS

    return [{"name": name, "presets": list(plugin.PRESETS)} for name, plugin in working(MODELS)]


def _row(card: Card) -> dict[str, Any]:
    scores = card.scores[0]
    name = FIRST if FIRST in scores.metrics else next(iter(scores.metrics))
    metric = scores.metrics[name]
    return {
        "name": card.name,
        "summary": card.summary,
        "dataset": card.data.dataset,
        "size": [card.images.height, card.images.width],
        "bytes": card.weights_bytes,
        "metric": metric.title,
        "mean": metric.mean,
        "interval": metric.interval,
        "inferred": _settings(scores),
    }


def _show_models(cards: Rows, trainable: Rows) -> None:
    """A table of pretrained models, and one of models that can be trained."""
    from rich.console import Console
    from rich.markup import escape

    from iodine_kit.cli.console import err
    from iodine_kit.formatting import byte_size
    from iodine_kit.pretrained import PREFIX

    console = Console(file=sys.stdout, highlight=False)
    if cards:
        table = _table("pretrained", "images", "size", "score", "inferred with")
        for row in cards:
            height, width = row["size"]
            score = f"{row['metric']} {_score(row['mean'], row['interval'])}"
            size = byte_size(row["bytes"])
            table.add_row(*map(escape, (PREFIX + row["name"], f"{height}×{width}", size, score, row["inferred"])))
        console.print(table)
    else:
        err.print("no pretrained models ship with this version", markup=False, style="dim")
    table = _table("to train", "presets")
    for row in trainable:
        table.add_row(escape(row["name"]), escape(", ".join(row["presets"])))
    console.print(table)


def _show_card(card: Card) -> None:
    """A card in full."""
    from rich.console import Console

    from iodine_kit.pretrained import PREFIX

    out = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)
    images = sum(phase.images for phase in card.training)
    seconds = [phase.seconds for phase in card.training if phase.seconds is not None]
    out.print(f"{PREFIX}{card.name}\n{card.summary}\n")
    pairs = [
        ("data", f"{card.data.dataset}, protocol {card.data.protocol or 'none'}, key {card.data.key}"),
        ("images", f"{card.images.height}×{card.images.width} pixels"),
        ("weights", f"{card.weights_bytes:,} bytes, {card.parameters:,} parameters, sha256 {card.weights_sha256}"),
        ("training", f"{images:,} images, {sum(seconds) / 3600:.2f} hours" if seconds else f"{images:,} images"),
        ("inference", _values(card.inference.model_dump())),
        ("licence", card.licence),
        ("made again by", card.remake),
    ]
    for label, value in pairs:
        out.print(f"{label:14} {value}")
    for scores in card.scores:
        out.print(f"\n{_data(scores)}, {scores.scenes:,} scenes of '{scores.split}', {_settings(scores)}")
        for metric in (scores.metrics[name] for name in SHOWN if name in scores.metrics):
            unit = f" {metric.unit}" if metric.unit else ""
            out.print(f"  {metric.title}: {_score(metric.mean, metric.interval)}{unit}, n = {metric.n:,}")
        if hidden := len(scores.metrics.keys() - set(SHOWN)):
            out.print(f"  {hidden} more metrics: --json")
    for number_, phase in enumerate(card.training, 1):
        out.print(f"\nphase {number_}: {phase.run}, {phase.steps:,} steps, {phase.images:,} images, {phase.device}")
        out.print(f"  code {phase.commit}, finished {phase.finished}")
        out.print(f"  train: {_values(phase.train)}")
        out.print(f"  model: {_values(phase.model)}")
    out.print(f"\ndata set: {_values(card.data.config)}")


def _data(scores: Scores) -> str:
    """The data set; if it was generated, with the seed that generates it again."""
    seed = scores.dataset_config.get("seed")
    return f"{scores.dataset}, generated with seed {seed}" if seed is not None else scores.dataset


def _settings(scores: Scores) -> str:
    best = f", lowest loss of {scores.restarts}" if scores.restarts > 1 else ""
    return f"K = {scores.slots}, T = {scores.steps}{best}"


def _score(mean: float | None, interval: Sequence[float] | None) -> str:
    from iodine_kit.formatting import estimated

    return "undefined" if mean is None else estimated(mean, interval)


def _values(values: Mapping[str, Any]) -> str:
    from iodine_kit.config import flatten

    leaves = flatten(values).items()
    return ", ".join(f"{name} {value}" for name, value in leaves if value not in (None, "", [], {}))


def _table(*heads: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, no_wrap=head not in ("presets", "score", "inferred with"))
    return table
