"""The command that segments. The stage is imported when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iodine_kit.cli.options import (
    DEFAULT_STORE,
    DatasetOption,
    JsonOption,
    OverwriteOption,
    PipelineOption,
    SetOption,
    StoreOption,
    input_artifact,
    store_at,
    tables_of,
)

if TYPE_CHECKING:
    from iodine_kit.artifacts.trained_model import TrainedModel
    from iodine_kit.progress import Reporter
    from iodine_kit.store import Artifact, Store


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("infer")(infer)


def infer(
    run: Annotated[
        str | None, typer.Option(metavar="ARTIFACT", help="Trained run; left out, the newest.", show_default=False)
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="latest|STEP|FILE",
            help="Take the weights from a checkpoint of a run that is being trained or was interrupted.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="pretrained:NAME", help="A model that ships with its weights: see iodine-kit models."),
    ] = None,
    dataset: DatasetOption = None,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Segment a split into predictions.h5. Keys to --set: infer.split, infer.slots, infer.steps, infer.store, …"""
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.runner import Context, obtain
    from iodine_kit.stages import infer as stage

    tables = tables_of(pipeline, settings, stage.TABLES)
    place, reporter = store_at(store), Terminal()
    trained = _model(place, run, checkpoint, model, reporter)
    data = place.open(dataset, "dataset") if dataset else _data(place, trained, tables["infer"].get("split"), reporter)
    context = Context(place, reporter, overwrite)
    artifact = obtain(stage.plan(tables, {"dataset": data}, context, trained), context)
    emit(artifact, as_json, **artifact.facts)


def _model(
    store: Store, run: str | None, checkpoint: str | None, pretrained: str | None, reporter: Reporter
) -> TrainedModel:
    """The model that the options name: of a finished run, at a checkpoint, or one that ships."""
    from iodine_kit.artifacts.trained_model import of_run

    if pretrained is not None:
        if run is not None or checkpoint is not None:
            raise typer.BadParameter("it excludes --run and --checkpoint", param_hint="--model")
        from iodine_kit.artifacts.pretrained_model import of_pretrained

        return of_pretrained(pretrained)
    if checkpoint is None:
        return of_run(input_artifact(store, run, "run", "iodine-kit train"))
    from iodine_kit.artifacts.checkpoint_model import at_checkpoint

    found = at_checkpoint(store, checkpoint, run, reporter)
    reporter.note(f"using {found.title}, {found.sources[0].location}")
    return found


def _data(store: Store, model: TrainedModel, split: str | None, reporter: Reporter) -> Artifact:
    """The data set that the model was trained on; else the newest of the kind that it is for, if that is known.

    One of one split will do where none is asked for, as a person's own images are.

    Raises:
        ArtifactNotFoundError: if no such data set is in the store.
    """
    from iodine_kit.errors import ArtifactNotFoundError

    if model.trained_on:
        return store.resolve(model.trained_on)
    if not model.dataset:
        return input_artifact(
            store, None, "dataset", "iodine-kit prepare", reporter=reporter,
            suits=lambda found: (split or "test") in found.facts["splits"]
            or (split is None and len(found.facts["splits"]) == 1),
        )  # fmt: skip
    name = model.dataset
    found = [a for a in store.artifacts("dataset") if a.facts["info"]["dataset"] == name]
    if not found:
        raise ArtifactNotFoundError(
            f"{store.root} holds no '{name}', which the imported weights {model.name} are for: make one with "
            f"'iodine-kit prepare {name}', or name another data set with --dataset"
        )
    artifact = next((a for a in reversed(found) if (split or "test") in a.facts["splits"]), found[-1])
    reporter.note(f"using dataset {artifact.path}")
    return store.usable(artifact)
