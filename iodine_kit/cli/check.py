"""The command that checks a pipeline before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iodine_kit.cli.options import DEFAULT_STORE, JsonOption, SetOption, StoreOption, check_settings, store_at
from iodine_kit.formatting import DASH, byte_size, duration_range
from iodine_kit.process import print_json

if TYPE_CHECKING:
    from iodine_kit.pipeline_check import PipelineCheck

TABLES = ("prepare", "train", "infer", "eval", "probe", "traverse", "report")


def check(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="Pipeline file, or its name in pipelines/.")],
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Check a pipeline before it runs: settings, sources, sizes, and about how much time, disk and memory it takes.

    Nothing is made. Estimates rest on earlier artifacts of the store, if this machine made comparable ones; otherwise
    on a few scenes that are made now and on rates of another CPU. Each problem is one sentence; the exit status is
    that of the first problem.
    """
    from iodine_kit import pipeline as pipelines
    from iodine_kit.cli.console import Terminal, err
    from iodine_kit.pipeline_check import check_pipeline
    from iodine_kit.runner import Context

    check_settings(settings or [], TABLES)
    found = check_pipeline(pipelines.load(pipeline, settings or []), Context(store_at(store), Terminal()))
    if as_json:
        print_json(found.facts())
    else:
        _show(found)
    for problem in found.problems:
        err.print(f"error: {problem}", markup=False, style="bold red")
    if found.problems:
        raise typer.Exit(found.problems[0].exit_status)


def _show(found: PipelineCheck) -> None:
    """Print the stages as a table, and what the machine has."""
    from iodine_kit.cli.console import Terminal
    from iodine_kit.process import print_text

    rows = [("stage", "status", "time", "disk", "memory", "basis")]
    for stage in found.stages:
        known = stage.estimate
        rows.append(
            (
                stage.stage,
                stage.status,
                duration_range(known.seconds) if known else DASH,
                byte_size(known.disk) if known else DASH,
                byte_size(known.memory) if known else DASH,
                known.basis if known else "nothing to do" if stage.status == "fresh" else "not known yet",
            )
        )
    unknown = any(stage.estimate is None and stage.status != "fresh" for stage in found.stages)
    total = (duration_range(found.seconds), byte_size(found.disk), byte_size(found.memory))
    rows.append(("total", "", *total, "without the stages that are not known yet" if unknown else ""))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print_text("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip())
    memory = "" if found.available_bytes is None else f", {byte_size(found.available_bytes)} of memory are available"
    print_text(f"{byte_size(found.free_bytes)} of disk are free{memory}")
    for note in found.notes:
        Terminal().note(note)
    if not found.problems:
        Terminal().note("nothing prevents this pipeline from running")
