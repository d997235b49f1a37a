"""The command that runs a whole pipeline: one chain of stages, or the members of a matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iodine_kit.cli.options import (
    DEFAULT_ENGINE,
    DEFAULT_STORE,
    AddressOption,
    EngineOption,
    JsonOption,
    OverwriteOption,
    SetOption,
    StoreOption,
    WorkersOption,
    check_output,
    check_settings,
    engine_of,
    hand_over,
    store_at,
)
from iodine_kit.process import print_json, print_path, print_text
from iodine_kit.system import to_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iodine_kit.engines import EngineConfig
    from iodine_kit.pipeline import Planned, Result, Segment, Selection
    from iodine_kit.runner import Context

_STAGES = ("prepare", "train", "infer", "eval", "probe", "traverse", "report")


def run(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="Pipeline file, or its name in pipelines/.")],
    settings: SetOption = None,
    matrix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE.KEY=VALUE,VALUE",
            help="Run the pipeline for each value, for example train.seed=1,2,3 (repeatable: every combination).",
        ),
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Run only this member of the matrix, for example seed=1 (repeatable)."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Members of the matrix to run side by side.")] = 1,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE", help="Last stage to run, by its command or artifact: train or run, infer or predictions, …"
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE",
            help="Run only this stage, named as for --until; its inputs must be up to date (repeatable).",
        ),
    ] = None,
    force: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE",
            help="Make the artifact of this stage again, named as for --until, although it is up to date (repeatable).",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print which stages would run, and why.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            parser=to_path,
            help="Also copy the page of the report to this file; for a matrix, the report of all members.",
        ),
    ] = None,
    engine: EngineOption = DEFAULT_ENGINE,
    address: AddressOption = "",
    workers: WorkersOption = 1,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the stages of a pipeline file, from the data to the report; stages that are up to date are reused.

    --dry-run prints a status per stage: fresh is reused, interrupted resumes, missing is made, stale is made again
    because settings, inputs or code changed, waiting depends on an earlier stage that is not fresh, and damaged differs
    from its manifest: the run would end there.

    With a table 'matrix' in the file, or --matrix, the pipeline has one member for each combination of values. Stages
    that members share run once. At the end there is one table, one comparison and one report of all members.

    'iodine-kit config STAGE' lists all keys for --set and --matrix.
    """
    from iodine_kit import pipeline as pipelines
    from iodine_kit.cli.console import Terminal
    from iodine_kit.runner import Context

    check_output(output)
    check_settings(settings or [], _STAGES)
    tables = pipelines.load(pipeline, settings or [])
    members = pipelines.expand(tables, matrix or [], settings or [], member or [])
    nodes = pipelines.build_graph(members)
    selection = pipelines.select(members[0].tables, until, force or [], only or [])
    _check_report(output, selection)
    context = Context(store_at(store), Terminal(), overwrite, engine=engine_of(engine, address, workers))
    if dry_run:
        planned = pipelines.plan_graph(nodes, context, selection)
        planned += pipelines.plan_end(members, nodes, planned, selection, context)
        _print_plan(planned, as_json)
        for stage in planned:
            if stage.problem:
                raise stage.problem
        return
    pipelines.try_engine(nodes, context, selection)
    if jobs > 1 and len(members) > 1:
        options = _repeated("--set", settings) + _repeated("--matrix", matrix)

        def arguments(segment: Segment) -> list[str]:
            return ["run", pipeline, *options, *_for_segment(segment, selection, context)]

        command = pipelines.Command(pipeline, tables, arguments)
        made, failed = pipelines.SideBySide(nodes, context, selection, jobs, command).run()
    else:
        made, failed = pipelines.run_members(nodes, context, selection)
    results = pipelines.collect(members, nodes, made, failed)
    if members[0].name:
        _finish_matrix(results, selection, context, output, as_json)
    else:
        _finish(results[0], selection, output, as_json)


def _repeated(option: str, values: Iterable[str] | None) -> list[str]:
    return [part for value in values or () for part in (option, value)]


def _for_segment(segment: Segment, selection: Selection, context: Context) -> list[str]:
    """The options that make one segment of a matrix, and print the result as JSON."""
    from iodine_kit.engines import IN_THIS_PROCESS
    from iodine_kit.pipeline import COMMANDS

    force = [role for role in segment.roles if role in selection.force]
    return [
        *_repeated("--member", (member.name for member in segment.members)),
        *_repeated("--only", (COMMANDS[role] for role in segment.roles)),
        *_repeated("--force", (COMMANDS[role] for role in force)),
        *(["--overwrite"] if context.overwrite else []),
        *(_engine_options(context.engine) if context.engine != IN_THIS_PROCESS else []),
        "--store",
        str(context.store.root),
        "--json",
    ]


def _engine_options(engine: EngineConfig) -> list[str]:
    address = ["--address", engine.address] if engine.address else []
    return ["--engine", engine.name, *address, "--workers", str(engine.workers)]


def _check_report(output: Path | None, selection: Selection) -> None:
    if output is not None and "report" not in selection.roles:
        raise typer.BadParameter("this run makes no report: omit --output, or include the stage report")


def _print_plan(planned: list[Planned], as_json: bool) -> None:
    if as_json:
        print_json([stage.as_json() for stage in planned])
        return
    every = {name for stage in planned for name in stage.members}
    shown = [_members(stage, len(every)) for stage in planned]
    width, longest = max(map(len, shown)), max(8, *(len(stage.status) for stage in planned))
    for stage, members in zip(planned, shown, strict=True):
        remark = f" ({stage.made_by})" if stage.made_by else ""
        print_text(
            f"{stage.status:{longest}} {stage.stage:12} {members:{width}}{'  ' if width else ''}{stage.because}{remark}"
        )


def _members(stage: Planned, every: int) -> str:
    names = stage.members
    return f"all {every} members" if every == len(names) > 1 else ", ".join(names)


def _finish(result: Result, selection: Selection, output: Path | None, as_json: bool) -> None:
    """Print the result of a pipeline without a matrix."""
    from iodine_kit.artifacts.evaluations import evaluation_facts
    from iodine_kit.cli.console import emit, show_metrics
    from iodine_kit.stages.report import PAGE

    if result.error:
        raise result.error
    made = {role: result.artifacts[role] for role in selection.roles}
    facts: dict[str, Any] = {"artifacts": {role: str(one.path) for role, one in result.artifacts.items()}}
    if "evaluation" in made:
        show_metrics(evaluation_facts(made["evaluation"]))
        facts["metrics"] = {name: metric.as_json() for name, metric in result.metrics.items()}
    if "report" in made:
        facts["page"] = hand_over(made["report"].path / PAGE, output)
    emit(made[selection.roles[-1]], as_json, **facts)


def _finish_matrix(
    results: list[Result], selection: Selection, context: Context, output: Path | None, as_json: bool
) -> None:
    """Compare the members and print their results; raises an error if a member failed."""
    from iodine_kit import pipeline as pipelines
    from iodine_kit.cli.console import show_in_blocks
    from iodine_kit.stages.report import PAGE

    if any(one.metrics for one in results) and not as_json:
        show_in_blocks(pipelines.summary_tables(results))
    comparison, report = pipelines.compare_members(results, selection, context)
    facts: dict[str, Any] = {}
    if comparison and report and not as_json:
        content = "comparison of the members" + (", differences and p-values" if comparison.facts["pairs"] else "")
        context.reporter.note(f"{content}: {comparison.path / 'summary.md'}")
    if comparison:
        facts["comparison"] = str(comparison.path)
    if report:
        facts |= {"report": str(report.path), "page": hand_over(report.path / PAGE, output)}
    if as_json:
        spreads = [one.as_json() for one in pipelines.spreads(results)]
        print_json({"members": [one.as_json() for one in results], "summary": spreads, **facts})
    else:
        last = [one.artifacts[selection.roles[-1]] for one in results if not one.error]
        shown = [report or comparison] if report or comparison else last
        for path in dict.fromkeys(artifact.path for artifact in shown if artifact):
            print_path(path)
    pipelines.raise_failed(results)
