"""The command that writes the report of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iodine_kit.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    OutputOption,
    OverwriteOption,
    PipelineOption,
    SetOption,
    StoreOption,
    check_output,
    hand_over,
    input_artifact,
    parent,
    store_at,
    tables_of,
)
from iodine_kit.cli.own_artifacts import own_artifact

if TYPE_CHECKING:
    from iodine_kit.progress import Reporter
    from iodine_kit.store import Artifact, Store

OpenOption = Annotated[bool, typer.Option("--open", help="Open the page in a browser.")]


def report(
    evaluation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARTIFACT", help="Evaluation (repeatable: shown side by side). Defaults to the most recent."
        ),
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option(metavar="ARTIFACT", help="Probe. Defaults to the most recent of the same predictions, if any."),
    ] = None,
    traversal: Annotated[
        str | None,
        typer.Option(
            metavar="ARTIFACT", help="Traversal. Defaults to the most recent of the same predictions, if any."
        ),
    ] = None,
    output: OutputOption = None,
    open_page: OpenOption = False,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page about an evaluation, a Markdown version, and figures as SVG, PNG and GIF.

    'iodine-kit config report' lists all keys for --set.
    """
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.runner import Context, run_stage

    check_output(output)
    tables = tables_of(pipeline, settings, "report")
    place = store_at(store)
    context = Context(place, Terminal(), overwrite)
    first = evaluation[0] if evaluation else None
    evaluated = input_artifact(place, first, "evaluation", "iodine-kit eval", pipeline=pipeline)
    from iodine_kit.stages import report as stage

    chain = _chain(place, evaluated)
    for role, named in {"probe": probe, "traversal": traversal}.items():
        added = (
            place.usable(place.open(named, role)) if named else _newest_of(place, role, chain["predictions"], pipeline)
        )
        chain |= {role: added} if added else {}
    chain |= _others(place, evaluated, (evaluation or [])[1:], context.reporter)
    artifact = run_stage(stage, tables, chain, context)
    page = hand_over(artifact.path / stage.PAGE, output)
    emit(artifact, as_json, page=page)
    if open_page:
        typer.launch(Path(page).resolve().as_uri())


def _chain(store: Store, evaluation: Artifact) -> dict[str, Artifact]:
    """An evaluation and its inputs; without a run if the predictions were imported."""
    predictions = parent(store, evaluation, "predictions")
    run = {"run": parent(store, predictions, "run")} if "run" in predictions.manifest.identity.inputs else {}
    return {
        "dataset": parent(store, evaluation, "dataset"),
        **run,
        "predictions": predictions,
        "evaluation": evaluation,
    }


def _newest_of(store: Store, kind: str, predictions: Artifact, pipeline: str | None = None) -> Artifact | None:
    """The artifact of a kind that was made from these predictions: that of the pipeline, or else the most recent."""
    from iodine_kit.progress import Silent

    own = own_artifact(store, kind, pipeline, Silent())
    every = [*store.artifacts(kind), *([own] if own else [])]
    made = [a for a in every if a.manifest.identity.inputs["predictions"] == predictions.reference]
    return store.usable(made[-1]) if made else None


def _others(store: Store, first: Artifact, places: list[str], reporter: Reporter) -> dict[str, Artifact]:
    """Evaluations and predictions of other runs by role, and their comparison with the first."""
    from iodine_kit.runner import Context, run_stage
    from iodine_kit.stages import compare

    if not places:
        return {}
    others = [store.usable(store.open(place, "evaluation")) for place in places]
    compared = compare.numbered([first, *others])
    roles = {"comparison": run_stage(compare, {}, compared, Context(store, reporter))}
    for number, other in enumerate(others, start=2):
        roles |= {f"evaluation-{number}": other, f"predictions-{number}": parent(store, other, "predictions")}
    return roles
