"""The command that looks into latents."""

from __future__ import annotations

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


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("traverse")(traverse)


def traverse(
    predictions: Annotated[
        str | None, typer.Option(metavar="ARTIFACT", help="Predictions; left out, the newest.", show_default=False)
    ] = None,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw what latent dimensions do: slots decoded with one dimension moved. The next report shows it.

    Keys to --set: traverse.scenes, traverse.dimensions, traverse.values, traverse.range, traverse.device, …
    """
    from iodine_kit.artifacts.trained_model import keeps_weights
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.runner import Context, run_stage
    from iodine_kit.stages import traverse as stage

    tables = tables_of(pipeline, settings, stage.TABLES)
    place = store_at(store)
    predicted = input_artifact(
        place, predictions, "predictions", "iodine-kit infer",
        suits=lambda found: ("run" in found.manifest.identity.inputs or keeps_weights(found)) and has_latents(found),
    )  # fmt: skip
    inputs = {"predictions": predicted, "dataset": parent(place, predicted, "dataset")}
    artifact = run_stage(stage, tables, inputs, Context(place, Terminal(), overwrite))
    emit(artifact, as_json, **artifact.facts)
