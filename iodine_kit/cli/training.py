"""The command train. Its stage is imported when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from iodine_kit.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    OverwriteOption,
    PipelineOption,
    SetOption,
    StoreOption,
    input_artifact,
    prepared_by,
    store_at,
    tables_of,
)
from iodine_kit.formatting import byte_size
from iodine_kit.process import print_json

if TYPE_CHECKING:
    from iodine_kit.stages.train.run_estimate import RunEstimate


def train(
    dataset: Annotated[
        str | None,
        typer.Option(metavar="ARTIFACT", help="Data set. Defaults to the most recent with the split to train on."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model. Defaults to iodine.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN|FILE|pretrained:NAME", help="Start from these weights instead of random ones."
        ),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only print the FLOPs, memory and disk that the run needs.")
    ] = False,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model. An interrupted run of the same configuration resumes; --overwrite starts it again.

    'iodine-kit config train' lists all keys for --set; docs/training.md explains them.

    To train on several GPUs or machines, start it with torchrun:
    torchrun --standalone --nproc-per-node=8 -m iodine_kit train
    """
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.errors import UnknownNameError
    from iodine_kit.progress import Silent
    from iodine_kit.runner import Context
    from iodine_kit.training.distributed import init_distributed

    if model and model.startswith("pretrained:"):
        raise UnknownNameError(f"--model {model} is not a kind of model: to start from its weights, use --from {model}")
    with init_distributed() as world:
        options = {"model": {"name": model} if model else {}, "train": {"from": start} if start else {}}
        tables = tables_of(pipeline, settings, "train", options)
        context = Context(store_at(store), Terminal() if world.first else Silent(), overwrite, world=world)
        split = str(tables["train"].get("split", "train"))
        command = "iodine-kit prepare tetrominoes --generate 2000"
        wanted = prepared_by(pipeline)
        data = input_artifact(
            context.store, dataset, "dataset", command, split, context.reporter, wanted, pipeline=pipeline
        )
        inputs = {"dataset": data}
        if estimate:
            from iodine_kit.stages.train.run_estimate import estimate_run

            if world.first:
                _show_estimate(estimate_run(tables, inputs, context), as_json)
            return
        from iodine_kit.artifacts.run import RunFacts, result_line
        from iodine_kit.runner import agree, obtain_distributed
        from iodine_kit.stages import train as stage

        job = stage.plan(tables, inputs, context)
        agree(world, job, stage.configure(tables)[1].model_dump(mode="json"))
        looks = world.first and not overwrite  # with --overwrite, what is there does not count, and may be damaged
        before = context.store.find(job.identity, context.again) if looks else None
        artifact = obtain_distributed(job, context)
        if artifact:
            if before is None or before.manifest.made.get("finished") != artifact.manifest.made.get("finished"):
                context.reporter.note(result_line(artifact))
            facts = RunFacts.of(artifact)
            emit(artifact, as_json, steps=facts.steps, parameters=facts.parameters, device=facts.device)


def _show_estimate(run: RunEstimate, as_json: bool) -> None:
    """Print an estimate to standard output."""
    if as_json:
        print_json(run.facts())
        return
    step = run.step
    memory = {
        "weights": step.weight_bytes, "gradients": step.gradient_bytes, "Adam": step.moment_bytes,
        "activations": step.activation_bytes,
    } | ({"copies of the weights": step.copy_bytes} if step.copy_bytes else {})  # fmt: skip
    parts = ", ".join(f"{name} {byte_size(count)}" for name, count in memory.items())
    table = Table(show_header=False, box=None)
    table.add_row("step", f"{step.batch_size} images of {step.height}×{step.width}")
    table.add_row("parameters", f"{step.parameters:,}")
    table.add_row("FLOPs", f"{step.flops / 1e9:,.1f} G per step, {step.flops_per_image / 1e9:,.2f} G per image")
    table.add_row("memory", f"{byte_size(step.peak_bytes)} at the peak: {parts}")
    table.add_row("process", f"{byte_size(run.process_bytes)} on a CPU, with Python and PyTorch")
    table.add_row("disk", f"{byte_size(run.disk_bytes)}, checkpoints of {byte_size(step.checkpoint_bytes)}")
    Console(highlight=False, soft_wrap=True).print(table)
