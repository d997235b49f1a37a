"""The commands of the stages. Stages are imported when they run: help has to come up at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from iodine_kit.cli import evaluation, imports, inference, probes, reports, traversals
from iodine_kit.cli.options import (
    DEFAULT_STORE,
    DatasetOption,
    JsonOption,
    OutputOption,
    OverwriteOption,
    PipelineOption,
    SetOption,
    StoreOption,
    check_output,
    hand_over,
    input_artifact,
    prepared_by,
    splits_of,
    store_at,
    tables_of,
)
from iodine_kit.formatting import byte_size

if TYPE_CHECKING:
    from iodine_kit.stages.train.estimate import RunEstimate


def show_estimate(run: RunEstimate, as_json: bool) -> None:
    """Print an estimate to standard output."""
    if as_json:
        sys.stdout.write(json.dumps(run.facts()) + "\n")
        return
    found = run.step
    memory = {
        "weights": found.weight_bytes, "gradients": found.gradient_bytes, "Adam": found.moment_bytes,
        "activations": found.activation_bytes,
    } | ({"copies of the weights": found.copy_bytes} if found.copy_bytes else {})  # fmt: skip
    parts = ", ".join(f"{name} {byte_size(count)}" for name, count in memory.items())
    table = Table(show_header=False, box=None)
    table.add_row("step", f"{found.batch_size} images of {found.height}×{found.width}")
    table.add_row("parameters", f"{found.parameters:,}")
    table.add_row("FLOPs", f"{found.flops / 1e9:,.1f} G per step, {found.flops_per_image / 1e9:,.2f} G per image")
    table.add_row("memory", f"{byte_size(found.peak_bytes)} at the peak: {parts}")
    table.add_row("process", f"{byte_size(run.process_bytes)} on a CPU, with Python and PyTorch")
    table.add_row("disk", f"{byte_size(run.disk_bytes)}, checkpoints of {byte_size(found.checkpoint_bytes)}")
    Console(highlight=False, soft_wrap=True).print(table)


def register(app: typer.Typer) -> None:
    """Add the commands to the application, in the order in which they are used."""
    app.command("prepare")(prepare)
    app.command("train")(train)
    inference.register(app)
    imports.register(app)
    evaluation.register(app)
    probes.register(app)
    traversals.register(app)
    reports.register(app)
    app.command("run")(run)


def prepare(
    dataset: Annotated[str | None, typer.Argument(help="Name of the data set; a wrong one lists all.")] = None,
    generate: Annotated[int | None, typer.Option(metavar="N", help="Generate N scenes.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH|URL", help="Published files, folder or pattern (repeatable); else downloaded."),
    ] = None,
    layout: Annotated[str | None, typer.Option(help="How the source is laid out; left out, it is recognised.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Splits, filter and crop as in: see iodine-kit protocols.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(metavar="NAME=N", help="Scenes per split (repeatable); else sensible shares.")
    ] = None,
    no_crop: Annotated[bool, typer.Option("--no-crop", help="Keep the published size.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave damaged records out, and say which.")] = False,
    sprites: Annotated[
        Path | None, typer.Option(metavar="FILE", help="dSprites' npz, for multi-dsprites made of its sprites.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the generator.")] = None,
    format: Annotated[str | None, typer.Option(help="hdf5 (default) or webdataset.")] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes; the result does not depend on it.")
    ] = None,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a published data set, or a generated one, into sharded WebDataset or HDF5.

    What is finished stays when it is interrupted: the same command goes on, and the result is the same to the byte.
    Keys to --set: dataset.…, preprocess.crop, preprocess.size, preprocess.max_objects, format.image_codec, …
    """
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.pipeline import override
    from iodine_kit.runner import Context, run_stage
    from iodine_kit.stages import prepare as stage

    tables = tables_of(pipeline, settings, stage.TABLES)
    given = {
        "dataset": dataset, "generate": generate, "source": source, "layout": layout, "protocol": protocol,
        "seed": seed, "format": format, "workers": workers, "skip_bad": skip_bad or None,
    }  # fmt: skip
    tables = override(tables, {"prepare": {key: value for key, value in given.items() if value is not None}})
    if no_crop and ({"crop", "size"} & tables["preprocess"].keys()):
        raise typer.BadParameter("it excludes preprocess.crop and preprocess.size", param_hint="--no-crop")
    if sprites is not None and tables["prepare"].get("dataset") != "multi-dsprites":
        raise typer.BadParameter("it is for multi-dsprites", param_hint="--sprites")
    if no_crop:
        tables["preprocess"] |= {"crop": "none", "size": None}
    if sprites is not None:
        tables["dataset"]["sprites"] = sprites
    if split:
        tables["prepare"]["split"] = splits_of(split)
    if "dataset" not in tables["prepare"]:
        from iodine_kit.datasets import DATASETS

        raise typer.BadParameter(f"name a data set: {', '.join(DATASETS.names())}", param_hint="DATASET")
    artifact = run_stage(stage, tables, {}, Context(store_at(store), Terminal(), overwrite))
    emit(artifact, as_json, splits=artifact.facts["splits"])


def train(
    dataset: DatasetOption = None,
    model: Annotated[str | None, typer.Option(help="Name of the model; left out, iodine.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN|FILE|pretrained:NAME", help="Begin with these weights instead of random ones."
        ),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say what it takes: FLOPs, memory, disk; nothing is trained.")
    ] = False,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model. Keys to --set: train.steps, train.batch_size, train.device, model.preset, model.slots, …

    An interrupted run of the same configuration resumes; --overwrite starts it again. docs/training.md says more.

    torchrun starts it on several GPUs or machines, as: torchrun --standalone --nproc-per-node=8 -m iodine_kit train
    """
    from iodine_kit.artifacts.training_result import result_line
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.progress import Silent
    from iodine_kit.runner import Context, agree, obtain_distributed
    from iodine_kit.stages import train as stage
    from iodine_kit.stages.train.estimate import estimate_run
    from iodine_kit.training.distributed import init_distributed

    with init_distributed() as world:
        tables = tables_of(pipeline, settings, stage.TABLES)
        if model is not None:
            tables["model"]["name"] = model
        if start is not None:
            tables["train"]["from"] = start
        context = Context(store_at(store), Terminal() if world.first else Silent(), overwrite, world=world)
        split = str(tables["train"].get("split", "train"))
        command = "iodine-kit prepare tetrominoes --generate 2000"
        inputs = {
            "dataset": input_artifact(
                context.store, dataset, "dataset", command, split, context.reporter, prepared_by(pipeline)
            )
        }
        if estimate:
            if world.first:
                show_estimate(estimate_run(tables, inputs, context), as_json)
            return
        job = stage.plan(tables, inputs, context)
        agree(world, job, stage.configure(tables)[1].model_dump(mode="json"))
        artifact = obtain_distributed(job, context)
        if artifact:
            context.reporter.note(result_line(artifact))
            emit(artifact, as_json, **{name: artifact.facts[name] for name in ("steps", "parameters", "device")})


def run(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="Pipeline file, or its name in pipelines/.")],
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run, and why.")] = False,
    output: OutputOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring everything a pipeline file describes up to date, from data to report."""
    from iodine_kit import pipeline as pipelines
    from iodine_kit.cli.console import Terminal, emit, show_metrics
    from iodine_kit.runner import Context
    from iodine_kit.stages.report import PAGE

    check_output(output)
    tables = pipelines.load(pipeline, settings or [])
    context = Context(store_at(store), Terminal(), overwrite)
    if dry_run:
        for planned in pipelines.plan(tables, context):
            typer.echo(f"{planned.status:8} {planned.stage:12} {planned.because}")
        return
    chain = pipelines.run(tables, context)
    metrics = chain["evaluation"].facts
    show_metrics(metrics)
    facts: dict[str, Any] = {"artifacts": {role: str(artifact.path) for role, artifact in chain.items()}}
    emit(
        chain["report"],
        as_json,
        **facts,
        metrics=metrics["metrics"],
        page=hand_over(chain["report"].path / PAGE, output),
    )
