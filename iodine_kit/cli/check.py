"""The command that checks a pipeline before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iodine_kit.addresses import redacted
from iodine_kit.cli.options import DEFAULT_STORE, PrintJsonOption, SetOption, StoreOption, check_settings, store_at
from iodine_kit.formatting import DASH, byte_size, duration_range
from iodine_kit.process import print_json, print_text

if TYPE_CHECKING:
    from iodine_kit.pipeline_check import PipelineCheck, StageCheck

TABLES = ("prepare", "train", "infer", "eval", "probe", "traverse", "report")


def check(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="Pipeline file, or its name in pipelines/.")],
    settings: SetOption = None,
    matrix: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE.KEY=VALUE,VALUE", help="Check the pipeline for each value (repeatable)."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: PrintJsonOption = False,
) -> None:
    """Check a pipeline before it runs: settings, sources, sizes, and about how much time, disk and memory it takes.

    Nothing is made. Estimates rest on earlier artifacts of the store, if this machine made comparable ones; otherwise
    on a few scenes that are made now and on rates of another CPU. Stages that members of a matrix share count once.
    Each problem is one sentence; the exit status is that of the first problem.
    """
    from iodine_kit import pipeline as pipelines
    from iodine_kit.cli.console import Terminal, err
    from iodine_kit.pipeline_check import check_pipeline
    from iodine_kit.runner import Context

    check_settings(settings or [], TABLES)
    tables, context = pipelines.load(pipeline, settings or []), Context(store_at(store), Terminal())
    found = check_pipeline(tables, context, matrix or [], settings or [])
    if as_json:
        print_json(found.facts())
    elif found.stages or not found.problems:
        _show(found)
    for problem in found.problems:
        err.print(redacted(f"error: {problem}"), markup=False, style="bold red")
    if found.problems:
        raise typer.Exit(found.problems[0].exit_status)


def _show(found: PipelineCheck) -> None:
    """Print the stages as a table, and what the machine has."""
    from iodine_kit.cli.console import Terminal

    every = {name for stage in found.stages for name in stage.members}
    rows = [["stage", "status", "members", "time", "disk", "memory", "basis"]]
    rows += [_row(stage, len(every)) for stage in found.stages]
    unknown = any(stage.estimate is None and stage.status != "fresh" for stage in found.stages)
    total = [duration_range(found.seconds), byte_size(found.disk), byte_size(found.memory)]
    rows.append(["total", "", "", *total, "without the stages that are not known yet" if unknown else ""])
    columns = [column for column in zip(*rows, strict=True) if every or column[0] != "members"]
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        print_text("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    memory = "" if found.available_bytes is None else f", {byte_size(found.available_bytes)} of memory are available"
    print_text(f"{byte_size(found.free_bytes)} of disk are free{memory}")
    for note in found.notes:
        Terminal().note(note)
    if not found.problems:
        Terminal().note("nothing prevents this pipeline from running")


def _row(stage: StageCheck, every: int) -> list[str]:
    members = f"all {every}" if every == len(stage.members) > 1 else ", ".join(stage.members)
    known = stage.estimate
    if known is None:
        basis = "nothing to do" if stage.status == "fresh" else "not known yet"
        return [stage.stage, stage.status, members, DASH, DASH, DASH, basis]
    sizes = [byte_size(known.disk), byte_size(known.memory)]
    return [stage.stage, stage.status, members, duration_range(known.seconds), *sizes, known.basis]
