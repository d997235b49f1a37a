"""The commands that score predictions and compare scores. Stages are imported when they run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iodine_kit.cli.imports import MappingOption, ModelOption, SplitOption, imported, is_foreign, mapping_tables
from iodine_kit.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    OverwriteOption,
    PipelineOption,
    SetOption,
    StoreOption,
    input_artifact,
    parent,
    store_at,
    tables_of,
)

if TYPE_CHECKING:
    from iodine_kit.store import Artifact, Store


class Convention(StrEnum):
    """What a scene scores whose ARI is 0/0."""

    DEEPMIND = "deepmind"
    EMORL = "emorl"
    ONES = "ones"
    EXCLUDE = "exclude"


class Format(StrEnum):
    """What is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    LATEX = "latex"


_SUFFIXES = {Format.CSV: "csv", Format.MARKDOWN: "md", Format.LATEX: "tex"}
FormatOption = Annotated[
    Format, typer.Option("--format", help="Print this to standard output; table: to standard error, and the path.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("eval")(evaluate)
    app.command("compare")(compare)


def evaluate(
    predictions: Annotated[
        str | None,
        typer.Option(
            metavar="ARTIFACT|FILE",
            help="Predictions; left out, the newest. A file or folder of others is imported first.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="ARTIFACT",
            help="True masks from another preparation (size) of the same scenes; of others' file, what it is of.",
        ),
    ] = None,
    split: SplitOption = None,
    model: ModelOption = None,
    mapping: MappingOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="ari (foreground), miou, mse, … or all (repeatable); left out, all that can be scored."),
    ] = None,
    convention: Annotated[
        Convention | None, typer.Option(help="Score of a scene whose ARI is 0/0; left out, exclude.")
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="N|model", help="Compare masks at N×N pixels; left out, as predicted.")
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=VALUE", help="End with status 17 if the mean is worse (repeatable): for CI."),
    ] = None,
    format: FormatOption = Format.TABLE,
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score predictions against the truth: per scene and object, with intervals, and the conventions in words.

    Keys to --set: eval.metrics, eval.tolerance, eval.interpolation, eval.resamples, eval.table, eval.device, …; for
    a file of others those of import-predictions, too: import.axes, import.values, import.order, …
    """
    from iodine_kit.cli.console import Terminal, show_metrics
    from iodine_kit.runner import Context, obtain
    from iodine_kit.stages import evaluate as stage

    format = _one_of(format, as_json)
    foreign = [text for text in settings or [] if text.partition(".")[0].strip() == "import"]
    tables = tables_of(pipeline, [text for text in settings or [] if text not in foreign], stage.TABLES)
    tables["eval"] |= _given(metric, convention, resolution)
    stage.configure(tables)
    thresholds = _thresholds(fail_under)
    place = store_at(store)
    context = Context(place, Terminal(), overwrite)
    predicted = predictions_named(place, predictions, dataset, mapping_tables(mapping, foreign, split, model))
    truth = place.usable(place.open(dataset, "dataset")) if dataset and not is_foreign(place, predictions) else None
    inputs = {"predictions": predicted, "dataset": parent(place, predicted, "dataset")}
    job = stage.plan(tables, inputs | ({"truth": truth} if truth else {}), context)
    _check_thresholds(thresholds, job.identity.config["eval"]["metrics"])
    artifact = obtain(job, context)
    show_metrics(artifact.facts)
    _print(artifact, format, {"metrics": artifact.facts["metrics"]})
    _gate(artifact, thresholds)


def compare(
    evaluations: Annotated[
        list[str], typer.Argument(metavar="EVALUATION…", help="Evaluations; those that differ by seed are one model.")
    ],
    name: Annotated[
        list[str] | None, typer.Option(help="Name of a model, in the order given (repeatable, one for each).")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Repeatable; left out, all that every one has.")] = None,
    format: FormatOption = Format.TABLE,
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare models on the same scenes, each with the first: differences, intervals, p, better and worse scenes.

    Evaluations that differ only by the seed of training count as one model, with its spread over seeds.
    Keys to --set: compare.resamples, compare.flips, compare.level, compare.seed, compare.table.
    """
    from iodine_kit.cli.console import Terminal, show_comparison
    from iodine_kit.runner import Context, run_stage
    from iodine_kit.stages import compare as stage

    format = _one_of(format, as_json)
    tables = tables_of(None, settings, stage.TABLES)
    given_names = {"names": name, "metrics": metric}
    tables["compare"] |= {key: value for key, value in given_names.items() if value}
    place = store_at(store)
    given = [place.usable(place.open(one, "evaluation")) for one in evaluations]
    artifact = run_stage(stage, tables, stage.numbered(given), Context(place, Terminal(), overwrite))
    show_comparison(artifact.facts)
    _print(artifact, format, artifact.facts)


def _one_of(format: Format, as_json: bool) -> Format:
    """What is printed; ``--json`` and another ``--format`` exclude each other."""
    if as_json and format not in (Format.TABLE, Format.JSON):
        raise typer.BadParameter(f"it excludes --format {format.value}", param_hint="--json")
    return Format.JSON if as_json else format


def predictions_named(
    store: Store, place: str | None, dataset: str | None, tables: dict[str, dict[str, Any]]
) -> Artifact:
    """The predictions that ``--predictions`` names, or the newest ones; others' files are imported for ``dataset``.

    Raises:
        ConfigError: if the table [import] is given for an artifact, which needs none.
    """
    from iodine_kit.errors import ConfigError

    if place and is_foreign(store, place):
        return imported(store, Path(place), dataset, tables)
    if tables["import"]:
        given = ", ".join(f"import.{key}" for key in tables["import"])
        what = place or "the newest predictions"
        raise ConfigError(
            f"{given} (or the option for it) says how to read a file of others, and {what} is none: leave it out; "
            "another split is predicted with 'iodine-kit infer --set infer.split=NAME'"
        )
    return input_artifact(store, place, "predictions", "iodine-kit infer")


def _given(metric: list[str] | None, convention: Convention | None, resolution: str | None) -> dict[str, Any]:
    """What the options say, as keys of the table [eval]."""
    given: dict[str, Any] = {"metrics": metric or None, "convention": convention and convention.value}
    if resolution is not None:
        given["resolution"] = int(resolution) if resolution.isdecimal() else resolution
    return {key: value for key, value in given.items() if value is not None}


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


def _check_thresholds(thresholds: dict[str, float], metrics: list[str]) -> None:
    """Whether every one is of a metric that is scored: to be known before hours of work."""
    from iodine_kit.errors import ConfigError, did_you_mean

    for name in thresholds:
        if name not in metrics:
            raise ConfigError(f"--fail-under: metric '{name}' is not evaluated{did_you_mean(name, metrics)}")


def _gate(artifact: Artifact, thresholds: dict[str, float]) -> None:
    """Raise :class:`BelowThresholdError` if a mean is worse than its threshold, or of no scene."""
    from iodine_kit.errors import BelowThresholdError

    failed = []
    for name, threshold in thresholds.items():
        metric = artifact.facts["metrics"][name]
        mean, higher = metric["mean"], metric["better"] == "higher"
        if mean is None or (mean < threshold if higher else mean > threshold):
            shown = "undefined for every scene" if mean is None else f"{mean:.6g}"
            failed.append(f"{name} is {shown}, and {'at least' if higher else 'at most'} {threshold:g} was asked for")
    if failed:
        raise BelowThresholdError(f"{artifact.path}: {'; '.join(failed)}")


def _print(artifact: Artifact, format: Format, facts: dict[str, Any]) -> None:
    """The artifact's path, one JSON object, or one of the files of its summary."""
    from iodine_kit.cli.console import emit

    if format in _SUFFIXES:
        typer.echo((artifact.path / f"summary.{_SUFFIXES[format]}").read_text("utf-8"), nl=False)
    else:
        emit(artifact, format is Format.JSON, **facts)
