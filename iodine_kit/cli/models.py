"""The commands on models that ship with their weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from iodine_kit.cli.options import DEFAULT_STORE, StoreOption, store_at


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("models")(models)
    app.command("package-model", hidden=True)(package_model)


def models(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Left out, all.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that ship with their weights, or show one's card; and the nets that can be trained.

    Segment with one as: iodine-kit infer --model pretrained:NAME
    """
    from iodine_kit import pretrained
    from iodine_kit.cli import model_cards

    if name:
        card = pretrained.card(name)
        if as_json:
            typer.echo(json.dumps(card.model_dump(mode="json", by_alias=True), ensure_ascii=False))
        else:
            model_cards.show_card(card)
        return
    found: dict[str, Any] = {"pretrained": model_cards.cards(), "models": model_cards.nets()}
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        model_cards.show_models(found["pretrained"], found["models"])


def package_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the model.")],
    evaluations: Annotated[
        list[str], typer.Argument(metavar="EVALUATION…", help="Of one run; the first one's settings become defaults.")
    ],
    remake: Annotated[str, typer.Option(metavar="COMMAND", help="The one command that makes it again.")],
    summary: Annotated[str, typer.Option(help="What the model is, in a sentence.")] = "",
    licence: Annotated[str, typer.Option(help="Of the weights.")] = "Apache-2.0",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Folder of pretrained models; left out, the package's.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model of this name.")] = False,
) -> None:
    """For maintainers: put a finished run's weights and their card, made from its evaluations, where models ship."""
    from iodine_kit import pretrained
    from iodine_kit.stages.package_model import Words, package

    place = store_at(store)
    given = [place.usable(place.open(one, "evaluation")) for one in evaluations]
    words = Words(summary or f"IODINE, trained on {given[0].facts['dataset']}", remake, licence)
    typer.echo(str(package(name, given, place, to or pretrained.HERE, words, overwrite=overwrite)))
