"""eval: predictions and true masks become scores per scene and object, and a summary that states its conventions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from iodine_kit.artifacts.dataset import dataset_info, lack_of_masks, open_split
from iodine_kit.artifacts.evaluations import VERSION, write_scores, write_summary
from iodine_kit.artifacts.predictions_and_truth import Pairs, PredictionsFacts, batch_size, open_truth
from iodine_kit.config import Config, TableFormat, build, split_table
from iodine_kit.engines import IN_THIS_PROCESS
from iodine_kit.errors import SchemaError
from iodine_kit.evaluation.bootstrap import Resampling
from iodine_kit.evaluation.mask_size import Resolution
from iodine_kit.evaluation.scene_scores import Columns, gathered, joined
from iodine_kit.evaluation.scoring import ALL, NoMasks, Scorer, Truth, choose_metrics
from iodine_kit.evaluation.summary import summarise
from iodine_kit.evaluation.tables import long_table, summary_tables
from iodine_kit.formatting import counted
from iodine_kit.metrics import METRICS, Convention, MetricOptions, needs_masks
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.progress import Advance, Reporter
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.store import Artifact, Identity
from iodine_kit.units import KeptOpen, make_units, pattern
from iodine_kit.units.scenes import (
    keeping_units,
    number_of_units,
    reachable,
    read_arrays,
    scenes_of,
    unit_size,
    write_arrays,
)

TABLES = ("eval",)
INPUTS = ("predictions", "dataset")
REMEDY = "name the same pictures, prepared with their masks, with --dataset"
"""For scenes without masks: their predictions can be scored against another preparation of the same pictures."""
STEM = "eval"
"""Begins the names of the files of units."""
LARGEST = 4096
"""Pixels in height and width at which masks can be inputs."""
__all__ = ["INPUTS", "TABLES", "VERSION", "EvalConfig", "EvalExecution", "configure", "plan"]


class EvalConfig(Config):
    """What to evaluate.

    Attributes:
        metrics: names of the metrics, in upper or lower case; the first one chooses the best and the worst scenes.
            ``all`` means every metric for which the predictions, and the true masks, are there.
        convention: score of a scene whose adjusted Rand index is 0/0; docs/evaluation.md explains the choices.
        tolerance: tolerance of boundary metrics, as a share of the image diagonal.
        resolution: resolution at which masks are compared: ``model`` (as predicted), or height and width in pixels.
        interpolation: Pillow's filter that resizes soft masks to another resolution.
        resamples: number of bootstrap samples; 0 means no intervals.
        level: level of the bootstrap intervals.
        seed: seed of the bootstrap.
        table: format of the tables per scene and per object; ``parquet`` needs the package pyarrow (extra ``parquet``).
    """

    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = (ALL,)
    convention: Convention = "exclude"
    tolerance: Annotated[float, Field(gt=0, le=0.5)] = 0.008
    resolution: Literal["model"] | int = "model"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    resamples: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    table: TableFormat = "csv"

    @field_validator("metrics")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(METRICS.canonical, names)))

    @field_validator("resolution", mode="before")
    @classmethod
    def _a_size(cls, value: Any) -> Any:
        if value == "model" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST):
            return value
        raise ValueError(f'write "model" or a number of pixels from 1 to {LARGEST}')

    @property
    def options(self) -> MetricOptions:
        """The choices that metrics leave open."""
        return MetricOptions(convention=self.convention, tolerance=self.tolerance)


class EvalExecution(Config):
    """How it is executed; no part of the key.

    Attributes:
        device: device that computes SSIM: ``cpu`` is fast for small images; ``auto`` uses a GPU if there is one.
        threads: CPU threads; 0 means the default of the libraries.
    """

    device: str = "cpu"
    threads: Annotated[int, Field(ge=0)] = 0


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Resolve the metrics and the resolution, and check that what they need was stored.

    ``inputs`` may hold ``truth``: another preparation of the same scenes, whose true masks replace those of the data
    set for which the predictions were made.

    Raises:
        SchemaError: if a metric needs a field that was not stored, or true masks that there are not; or if the size of
            comparison is not clear.
    """
    config, execution = configure(tables)
    predictions = inputs["predictions"]
    stored = PredictionReader(predictions.path / PREDICTIONS).fields()
    lacking = _lack(inputs)
    metrics = choose_metrics(config.metrics, stored, str(predictions.path), lacking)
    if lacking and ALL in config.metrics:
        omitted = ", ".join(name for name, metric in choose_metrics([ALL], stored, "").items() if name not in metrics)
        context.reporter.note(f"note: {lacking.what}: metrics that need them are omitted ({omitted})")
    resolution = _resolution(config, inputs, "soft_mask" in stored, lacking, context.reporter)
    identity = Identity(
        kind="evaluation",
        name=predictions.manifest.identity.name,
        stage="eval",
        version=VERSION,
        plugins={f"metric/{name}": metric.VERSION for name, metric in metrics.items()},
        config={"eval": {**config.model_dump(mode="json"), "metrics": list(metrics)}},
        inputs={role: inputs[role].reference for role in (*INPUTS, "truth") if role in inputs},
    )
    scoring = _Scoring(config, execution, tuple(metrics), resolution, dict(inputs), size=0)
    return Job(identity, lambda out: _make(scoring, out, context), state=pattern(STEM), cheap=True)


def configure(tables: Tables) -> tuple[EvalConfig, EvalExecution]:
    """Validate the tables, and load the metrics that they name."""
    values, execution_values = split_table(tables.get("eval", {}), [EvalConfig, EvalExecution], "eval")
    config = build(EvalConfig, values, "eval")
    for name in config.metrics:
        if name != ALL:
            METRICS.load(name)
    return config, build(EvalExecution, execution_values, "eval")


def _resolution(
    config: EvalConfig, inputs: Inputs, soft: bool, lacking: NoMasks | None, reporter: Reporter
) -> Resolution:
    truth = inputs.get("truth", inputs["dataset"])
    model, true = _size(inputs["dataset"]), _size(truth)
    if lacking:
        if config.resolution != "model":
            reporter.note(f"note: eval.resolution does nothing: {lacking.what}, and images are not resized")
        return Resolution(model, model, model)
    if config.resolution == "model" and true != model:
        raise SchemaError(
            f"{inputs['predictions'].path} was predicted at {model[0]}×{model[1]} pixels, and {truth.path} holds true "
            f"masks of {true[0]}×{true[1]}: choose the size of comparison, as with --set eval.resolution={true[0]}"
        )
    size = model if config.resolution == "model" else (config.resolution, config.resolution)
    return Resolution(model, true, size, config.interpolation, soft)


def check_masks(tables: Tables, dataset: Artifact, split: str) -> None:
    """Refuse metrics that need true masks for a split that has none, before any prediction is made.

    Raises:
        SchemaError: for such a metric, by name.
    """
    config, lacking = configure(tables)[0], lack_of_masks(dataset, split)
    for name in config.metrics:
        if lacking and name != ALL and needs_masks(METRICS.load(name)):
            raise SchemaError(f"eval.metrics: '{name}' needs true masks, but {lacking}: omit the metric")


def _lack(inputs: Inputs) -> NoMasks | None:
    """Set if the scenes have no true masks."""
    split = PredictionsFacts.of(inputs["predictions"]).split
    what = lack_of_masks(inputs.get("truth", inputs["dataset"]), split)
    return NoMasks(what, REMEDY) if what else None


@dataclass(frozen=True)
class _Scoring:
    """Scores units of scenes; picklable, for workers elsewhere."""

    config: EvalConfig
    execution: EvalExecution
    metrics: tuple[str, ...]
    resolution: Resolution
    inputs: Mapping[str, Artifact]
    size: int

    def __call__(self, number: int, path: Path) -> None:
        """Write the columns of a unit."""
        with _OPENED.use(self, self.open) as (pairs, scorer):
            columns = self.columns(pairs, scorer, scenes_of(number, self.size, len(pairs)))
        write_arrays(path, {"/".join(names): column for names, column in columns.items()})

    def open(self, *, check: bool = False) -> tuple[Pairs, Scorer]:
        """The scenes with their predictions, and what scores them; ``check``: that other true masks belong to them."""
        pairs, info = Pairs(self.inputs["predictions"], self.inputs["dataset"]), dataset_info(self.inputs["dataset"])
        metrics = {name: METRICS.load(name) for name in self.metrics}
        truth, device, masks = _truth(self.inputs, pairs, check), _device(self.execution), _lack(self.inputs) is None
        options, background = self.config.options, info.background
        return pairs, Scorer(metrics, options, self.resolution, background, truth, device, masks, info.ignored)

    def columns(self, pairs: Pairs, scorer: Scorer, scenes: range, advance: Advance = lambda count: None) -> Columns:
        """Scores of some scenes."""
        batches = pairs.batches(batch_size(scorer.pixels), scorer.fields, scenes)
        return scorer.columns(batches, str(pairs.path), advance, scenes.start)


_OPENED: KeptOpen[_Scoring, tuple[Pairs, Scorer]] = KeptOpen(lambda opened: _close(*opened))


def _close(pairs: Pairs, scorer: Scorer) -> None:
    pairs.close()
    if scorer.truth is not None:
        scorer.truth.scenes.close()


def _make(scoring: _Scoring, out: Path, context: Context) -> FactValues:
    config, inputs, reporter = scoring.config, scoring.inputs, context.reporter
    pairs, scorer = scoring.open(check=True)
    size = unit_size(scorer.pixels, batch_size(scorer.pixels))
    scoring = replace(scoring, size=size, inputs=reachable(inputs, context.engine))
    units = number_of_units(scoring.size, len(pairs))
    if units == 1 and context.engine.name != IN_THIS_PROCESS.name:
        scenes = counted(len(pairs), "scene")
        reporter.note(
            f"note: {scenes} are one unit: this process scores it, and not the engine '{context.engine.name}'"
        )
    with reporter.track("eval", len(pairs)) as advance:
        if units == 1:
            columns = scoring.columns(pairs, scorer, range(len(pairs)), advance)
        else:
            columns = _score_units(scoring, units, len(pairs), out, context, advance)
    scores = gathered(pairs.predictions.keys, columns)
    subject = PredictionsFacts.of(inputs["predictions"]).subject(pairs.info.dataset)
    resampling = Resampling(config.resamples, config.level, config.seed)
    facts = summarise(subject, scores, scorer.metrics, config.options, scoring.resolution, resampling)
    if scorer.masks and facts.remark:
        reporter.note(f"note: {facts.remark}")
    write_summary(out, facts, long_table(facts), summary_tables(facts))
    write_scores(out, scores, config.table)
    return facts.as_json()


def _score_units(scoring: _Scoring, units: int, scenes: int, out: Path, context: Context, advance: Advance) -> Columns:
    parts: list[Columns] = []
    with keeping_units(out, STEM), closing(_OPENED):
        stem = f"{STEM}-{scoring.size}"  # units of another size, of another version, are other units
        for path in make_units(scoring, out, stem, range(units), context.engine, context.reporter):
            parts.append({tuple(name.split("/", 1)): column for name, column in read_arrays(path).items()})
            advance(len(scenes_of(len(parts) - 1, scoring.size, scenes)))
    return joined(parts)


def _truth(inputs: Inputs, pairs: Pairs, check: bool) -> Truth | None:
    """Where true masks come from, if not from the data set for which the predictions were made."""
    if "truth" not in inputs:
        return None
    keys = pairs.predictions.keys
    opened = open_truth(inputs["truth"], inputs["dataset"], pairs.split, keys) if check else None
    scenes = opened or open_split(inputs["truth"], pairs.split)
    info = dataset_info(inputs["truth"])
    return Truth(scenes, info.background, info.ignored)


def _size(dataset: Artifact) -> tuple[int, int]:
    info = dataset_info(dataset)
    return info.height, info.width


def _device(execution: EvalExecution) -> str:
    """The device by name; torch is not loaded for the CPU unless its threads are to be set."""
    if execution.threads:
        import torch

        torch.set_num_threads(execution.threads)
    if execution.device == "cpu":
        return "cpu"
    from iodine_kit.tensors import pick_device

    return str(pick_device(execution.device))
