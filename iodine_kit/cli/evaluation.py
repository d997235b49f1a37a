"""The commands that score: eval, compare and probe. Stages are imported when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from iodine_kit.cli.imports import imported
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
    is_file,
    parent,
    store_at,
    tables_of,
)
from iodine_kit.process import print_text
from iodine_kit.system import to_path

if TYPE_CHECKING:
    from iodine_kit.store import Artifact

Format = Literal["table", "csv", "markdown", "latex"]
_SUFFIXES: dict[str, str] = {"csv": "csv", "markdown": "md", "latex": "tex"}
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        help="Print the results in this format to standard output. With table, they go to standard error, and "
        "the artifact's path to standard output.",
    ),
]


def evaluate(
    predictions: Annotated[
        str | None,
        typer.Option(
            metavar="ARTIFACT|FILE",
            help="Predictions, or a third-party file or folder, which is imported first. Defaults to the most recent.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="ARTIFACT",
            help="Data set with the true masks: at another resolution, or the one that a third-party file belongs to.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Metric: ari (foreground ARI), miou, mse, …; 'iodine-kit config eval' lists all (repeatable). "
            "Defaults to all that can be computed.",
        ),
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC=VALUE",
            help="Exit with status 17 if a mean is worse than this threshold (repeatable; for CI).",
        ),
    ] = None,
    format: FormatOption = "table",
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    engine: EngineOption = DEFAULT_ENGINE,
    address: AddressOption = "",
    workers: WorkersOption = 1,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score predictions against the true masks: metrics with confidence intervals, per scene and per object.

    'iodine-kit config eval' lists all keys for --set.
    """
    from iodine_kit.artifacts.evaluations import evaluation_facts
    from iodine_kit.cli.console import Terminal, show_metrics
    from iodine_kit.metrics import METRICS
    from iodine_kit.runner import Context, obtain

    thresholds = _thresholds(fail_under)
    _check_format(format, as_json)
    tables = tables_of(pipeline, settings, "eval", {"eval": {"metrics": metric} if metric else {}})
    place = store_at(store)
    from_file = is_file(place, predictions)
    _refuse_import(tables["import"], from_file, predictions)
    given = (
        None if from_file else input_artifact(place, predictions, "predictions", "iodine-kit infer", pipeline=pipeline)
    )
    truth = place.usable(place.open(dataset, "dataset")) if dataset and not from_file else None
    from iodine_kit.stages import evaluate as stage

    stage.configure(tables)
    predicted = given or imported(place, to_path(str(predictions)), dataset, tables)
    inputs = {"predictions": predicted, "dataset": parent(place, predicted, "dataset")}
    context = Context(place, Terminal(), overwrite, engine=engine_of(engine, address, workers))
    job = stage.plan(tables, inputs | ({"truth": truth} if truth else {}), context)
    thresholds = {METRICS.canonical(name): value for name, value in thresholds.items()}
    _check_thresholds(thresholds, job.identity.config["eval"]["metrics"], truth or inputs["dataset"], predicted)
    artifact = obtain(job, context)
    facts = evaluation_facts(artifact)
    show_metrics(facts)
    _print(artifact, format, as_json, {"metrics": {name: one.as_json() for name, one in facts.metrics.items()}})
    _gate(artifact, thresholds)


def _refuse_import(table: dict[str, Any], from_file: bool, predictions: str | None) -> None:
    """Raise :class:`ConfigError` if the table [import] is given for an artifact, which needs none."""
    from iodine_kit.errors import ConfigError

    if table and not from_file:
        keys = ", ".join(f"import.{key}" for key in table)
        raise ConfigError(
            f"{keys}: only for a third-party file, and {predictions or 'the most recent predictions'} is an artifact: "
            "omit it, or name the file with --predictions"
        )


def compare(
    evaluations: Annotated[
        list[str],
        typer.Argument(metavar="EVALUATION", help="Two evaluations or more; those that differ by seed are one model."),
    ],
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Name of a model, in the order of the evaluations (once for every model)."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Metric (repeatable). Defaults to all that every evaluation has."),
    ] = None,
    format: FormatOption = "table",
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare each model with the first on the same scenes: mean difference, interval, p-value, wins and losses.

    Evaluations that differ only by the seed of training are one model; its spread over seeds is shown.

    'iodine-kit config compare' lists all keys for --set.
    """
    from iodine_kit.artifacts.evaluations import comparison_facts
    from iodine_kit.cli.console import Terminal, show_comparison
    from iodine_kit.runner import Context, run_stage

    _check_format(format, as_json)
    options = {key: value for key, value in {"names": name, "metrics": metric}.items() if value}
    tables = tables_of(None, settings, "compare", {"compare": options})
    place = store_at(store)
    given = [place.usable(place.open(one, "evaluation")) for one in evaluations]
    from iodine_kit.stages import compare as stage

    artifact = run_stage(stage, tables, stage.numbered(given), Context(place, Terminal(), overwrite))
    show_comparison(comparison_facts(artifact))
    _print(artifact, format, as_json, artifact.facts)


def probe(
    predictions: PredictionsOption = None,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    engine: EngineOption = DEFAULT_ENGINE,
    address: AddressOption = "",
    workers: WorkersOption = 1,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict factors of objects from the latents of their slots: R² and accuracy by cross-validation, DCI, slot usage.

    'iodine-kit config probe' lists all keys for --set.
    """
    from iodine_kit.artifacts.evaluations import probe_facts
    from iodine_kit.cli.console import Terminal, emit, show_probe
    from iodine_kit.runner import Context, run_stage

    tables = tables_of(pipeline, settings, "probe")
    place = store_at(store)
    predicted = input_artifact(
        place, predictions, "predictions", "iodine-kit infer", suits=has_latents, pipeline=pipeline
    )
    from iodine_kit.stages import probe as stage

    inputs = {"predictions": predicted, "dataset": parent(place, predicted, "dataset")}
    context = Context(place, Terminal(), overwrite, engine=engine_of(engine, address, workers))
    artifact = run_stage(stage, tables, inputs, context)
    show_probe(probe_facts(artifact))
    emit(artifact, as_json, **artifact.facts)


def _check_format(format: Format, as_json: bool) -> None:
    if as_json and format != "table":
        raise typer.BadParameter(f"give only one of --json and --format {format}", param_hint="--json")


def _thresholds(texts: list[str] | None) -> dict[str, float]:
    """``["ari=0.9"]`` as ``{"ari": 0.9}``."""
    thresholds: dict[str, float] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        try:
            thresholds[name] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name or thresholds[name] != thresholds[name]:
            raise typer.BadParameter(f"'{text}' is not METRIC=VALUE, for example ari=0.9", param_hint="--fail-under")
    return thresholds


def _check_thresholds(thresholds: dict[str, float], metrics: list[str], truth: Artifact, predictions: Artifact) -> None:
    """Refuse thresholds of metrics that are not evaluated, before any long work starts; say if masks are lacking."""
    from iodine_kit.artifacts.dataset import lack_of_masks
    from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts
    from iodine_kit.errors import ConfigError, did_you_mean

    missing = [name for name in thresholds if name not in metrics]
    if missing:
        lacking = lack_of_masks(truth, PredictionsFacts.of(predictions).split)
        why = f": {lacking}" if lacking else did_you_mean(missing[0], metrics)
        raise ConfigError(f"--fail-under: metric '{missing[0]}' is not evaluated{why}")


def _gate(artifact: Artifact, thresholds: dict[str, float]) -> None:
    """Raise :class:`BelowThresholdError` if a mean is worse than its threshold, or undefined for every scene."""
    from iodine_kit.artifacts.evaluations import evaluation_facts
    from iodine_kit.errors import BelowThresholdError

    facts = evaluation_facts(artifact)
    failed = []
    for name, threshold in thresholds.items():
        mean, higher = facts.metrics[name].mean, facts.metrics[name].better == "higher"
        if mean is None or (mean < threshold if higher else mean > threshold):
            shown = "undefined for every scene" if mean is None else f"{mean:.6g}"
            failed.append(f"{name} is {shown}, required: {'at least' if higher else 'at most'} {threshold:g}")
    if failed:
        raise BelowThresholdError(f"{artifact.path}: {'; '.join(failed)}")


def _print(artifact: Artifact, format: Format, as_json: bool, facts: dict[str, Any]) -> None:
    """The artifact's path, one JSON object, or one of the files of its summary."""
    from iodine_kit.cli.console import emit

    if format in _SUFFIXES:
        print_text((artifact.path / f"summary.{_SUFFIXES[format]}").read_text("utf-8"), end="")
    else:
        emit(artifact, as_json, **facts)
