"""The commands that run a trained model: infer and traverse. Stages are imported when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iodine_kit.cli.options import (
    DEFAULT_ENGINE,
    DEFAULT_STORE,
    AddressOption,
    EngineOption,
    JsonOption,
    OverwriteOption,
    PipelineOption,
    PredictionsOption,
    SetOption,
    StoreOption,
    WorkersOption,
    engine_of,
    has_latents,
    input_artifact,
    parent,
    prepared_by,
    store_at,
    tables_of,
)
from iodine_kit.cli.own_artifacts import own_artifact, own_draft

if TYPE_CHECKING:
    from iodine_kit.artifacts.trained_model import TrainedModel
    from iodine_kit.progress import Reporter
    from iodine_kit.store import Artifact, Store


def infer(
    run: Annotated[
        str | None,
        typer.Option(metavar="ARTIFACT", help="Trained run. Defaults to the most recent.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="latest|STEP|FILE", help="Use a checkpoint of a run that is still training or was interrupted."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="pretrained:NAME", help="Use a pretrained model; see iodine-kit models.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="ARTIFACT", help="Data set. Defaults to the one that the run was trained on.")
    ] = None,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    engine: EngineOption = DEFAULT_ENGINE,
    address: AddressOption = "",
    workers: WorkersOption = 1,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Segment the images of a split with a trained model. An interrupted command keeps finished scenes: repeat it.

    'iodine-kit config infer' lists all keys for --set.

    To use several GPUs, start it with torchrun: torchrun --standalone --nproc-per-node=8 -m iodine_kit infer
    """
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.progress import Silent
    from iodine_kit.runner import Context, agree, obtain_distributed
    from iodine_kit.training.distributed import init_distributed

    with init_distributed() as world:
        tables = tables_of(pipeline, settings, "infer")
        place, reporter = store_at(store), Terminal() if world.first else Silent()
        trained = _model(place, run, checkpoint, model, reporter, pipeline)
        data = _dataset(place, dataset, trained, tables["infer"].get("split"), reporter, pipeline)
        from iodine_kit.stages import infer as stage

        running = engine_of(engine, address, workers)
        context = Context(place, reporter, overwrite, world=world, engine=running)
        job = stage.plan(tables, {"dataset": data}, context, trained)
        agree(world, job, stage.configure(tables)[1].model_dump(mode="json"))
        artifact = obtain_distributed(job, context)
        if artifact:
            emit(artifact, as_json, **artifact.facts)


def _model(
    store: Store,
    run: str | None,
    checkpoint: str | None,
    pretrained: str | None,
    reporter: Reporter,
    pipeline: str | None,
) -> TrainedModel:
    """The model that the options name: a finished run, a checkpoint, or a pretrained model."""
    if pretrained is not None:
        if run is not None or checkpoint is not None:
            raise typer.BadParameter("give only one of --model, --run and --checkpoint", param_hint="--model")
        from iodine_kit.artifacts.trained_model import of_pretrained

        return of_pretrained(pretrained)
    if checkpoint is None:
        from iodine_kit.errors import ArtifactNotFoundError

        try:
            artifact = input_artifact(store, run, "run", "iodine-kit train", reporter=reporter, pipeline=pipeline)
        except ArtifactNotFoundError as error:
            hint = "" if run else ", or use a pretrained model: --model pretrained:tetrominoes"
            raise ArtifactNotFoundError(f"{error}{hint}") from None
        from iodine_kit.artifacts.trained_model import of_run

        return of_run(artifact)
    from iodine_kit.artifacts.unfinished_run_model import at_checkpoint

    model = at_checkpoint(store, checkpoint, run or own_draft(store, pipeline), reporter)
    reporter.note(f"using {model.title}, {model.sources[0].location}")
    return model


def _dataset(
    store: Store, place: str | None, model: TrainedModel, split: str | None, reporter: Reporter, pipeline: str | None
) -> Artifact:
    """The data set at ``place``, or the one that the model was trained on, or that of the pipeline, or the most recent
    that the model is for.

    If no split is asked for, a data set with a single split will do, for example a folder of your own images.

    Raises:
        ArtifactNotFoundError: if the store has no such data set.
    """
    from iodine_kit.artifacts.dataset import DatasetFacts
    from iodine_kit.errors import ArtifactNotFoundError

    def has_split(data: Artifact) -> bool:
        return (split or "test") in DatasetFacts.of(data).splits

    def suits(data: Artifact) -> bool:
        return has_split(data) or (split is None and len(DatasetFacts.of(data).splits) == 1)

    if place or not (model.trained_on or model.dataset):
        return input_artifact(
            store, place, "dataset", "iodine-kit prepare", reporter=reporter, suits=suits, pipeline=pipeline
        )
    if model.trained_on:
        return store.resolve(model.trained_on)
    name = model.dataset
    own = own_artifact(store, "dataset", pipeline, reporter) if prepared_by(pipeline) == name else None
    if own is not None:
        return own
    fitting = [data for data in store.artifacts("dataset") if DatasetFacts.of(data).info.dataset == name]
    if not fitting:
        raise ArtifactNotFoundError(
            f"{store.root} has no data set '{name}', which the imported weights {model.name} need: make it with "
            f"'iodine-kit prepare {name}', or name another data set with --dataset"
        )
    artifact = next(filter(has_split, reversed(fitting)), fitting[-1])
    reporter.note(f"using dataset {artifact.path}")
    return store.usable(artifact)


def traverse(
    predictions: PredictionsOption = None,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Render latent traversals: decode slots with one latent dimension moved. The next report shows them.

    'iodine-kit config traverse' lists all keys for --set.
    """
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.runner import Context, run_stage

    tables = tables_of(pipeline, settings, "traverse")
    place = store_at(store)
    predicted = input_artifact(
        place, predictions, "predictions", "iodine-kit infer", suits=_can_be_decoded, pipeline=pipeline
    )
    from iodine_kit.stages import traverse as stage

    inputs = {"predictions": predicted, "dataset": parent(place, predicted, "dataset")}
    artifact = run_stage(stage, tables, inputs, Context(place, Terminal(), overwrite))
    emit(artifact, as_json, **artifact.facts)


def _can_be_decoded(predictions: Artifact) -> bool:
    """Whether there are latents, and the weights of the model that inferred them."""
    from iodine_kit.artifacts.trained_model import keeps_weights

    weights = "run" in predictions.manifest.identity.inputs or keeps_weights(predictions)
    return weights and has_latents(predictions)
