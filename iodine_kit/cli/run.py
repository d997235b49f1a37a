"""The command that runs a whole pipeline."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from iodine_kit.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    OutputOption,
    OverwriteOption,
    SetOption,
    StoreOption,
    check_output,
    check_settings,
    hand_over,
    store_at,
)
from iodine_kit.process import print_text


def run(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="Pipeline file, or its name in pipelines/.")],
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print which stages would run, and why.")] = False,
    output: OutputOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the stages of a pipeline file, from the data to the report; stages that are up to date are reused.

    --dry-run prints a status per stage: fresh is reused, interrupted resumes, missing is made, stale is made again
    because settings, inputs or code changed, and waiting depends on an earlier stage that is not fresh.

    'iodine-kit config STAGE' lists all keys for --set.
    """
    from iodine_kit import pipeline as pipelines
    from iodine_kit.cli.console import Terminal, emit, show_metrics
    from iodine_kit.runner import Context

    check_output(output)
    check_settings(settings or [], ("prepare", "train", "infer", "eval", "probe", "traverse", "report"))
    tables = pipelines.load(pipeline, settings or [])
    context = Context(store_at(store), Terminal(), overwrite)
    if dry_run:
        for planned in pipelines.plan(tables, context):
            print_text(f"{planned.status:8} {planned.stage:12} {planned.because}")
        return
    from iodine_kit.artifacts.evaluations import evaluation_facts
    from iodine_kit.stages.report import PAGE

    chain = pipelines.run(tables, context)
    evaluation = evaluation_facts(chain["evaluation"])
    show_metrics(evaluation)
    facts: dict[str, Any] = {
        "artifacts": {role: str(artifact.path) for role, artifact in chain.items()},
        "metrics": {name: metric.as_json() for name, metric in evaluation.metrics.items()},
        "page": hand_over(chain["report"].path / PAGE, output),
    }
    emit(chain["report"], as_json, **facts)
