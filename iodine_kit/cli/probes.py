"""The command that asks what latents know."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from iodine_kit.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    OverwriteOption,
    PipelineOption,
    SetOption,
    StoreOption,
    has_latents,
    input_artifact,
    parent,
    store_at,
    tables_of,
)


class Match(StrEnum):
    """Which slot is an object's."""

    MASK = "mask"
    LOSS = "loss"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("probe")(probe)


def probe(
    predictions: Annotated[
        str | None, typer.Option(metavar="ARTIFACT", help="Predictions; left out, the newest.", show_default=False)
    ] = None,
    match: Annotated[
        Match | None,
        typer.Option(help="Slot of an object: by mask, or the one that predicts it best; left out, mask."),
    ] = None,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read objects' factors from their slots' latents: R² and accuracy across folds, DCI, and slots in use.

    Keys to --set: probe.factors, probe.scenes, probe.folds, probe.rounds, probe.resamples, probe.seed, …
    """
    from iodine_kit.cli.console import Terminal, emit, show_probe
    from iodine_kit.runner import Context, run_stage
    from iodine_kit.stages import probe as stage

    tables = tables_of(pipeline, settings, stage.TABLES)
    if match is not None:
        tables["probe"] |= {"match": match.value}
    place = store_at(store)
    predicted = input_artifact(place, predictions, "predictions", "iodine-kit infer", suits=has_latents)
    inputs = {"predictions": predicted, "dataset": parent(place, predicted, "dataset")}
    artifact = run_stage(stage, tables, inputs, Context(place, Terminal(), overwrite))
    show_probe(artifact.facts)
    emit(artifact, as_json, **artifact.facts)
