"""eval: predictions and the truth become a table of scores per scene and a summary that states its conventions."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from iodine_kit.config import Config, build
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.metrics import Comparison, MetricPlugin, Rules, describe
from iodine_kit.predictions import PREDICTIONS, PredictionReader
from iodine_kit.progress import Reporter
from iodine_kit.records import PredictionBatch, SceneBatch
from iodine_kit.registry import Registry
from iodine_kit.stages.job import Facts, Job, Tables
from iodine_kit.stages.split import dataset_info, open_split
from iodine_kit.store import Artifact, Identity

VERSION = 1
TABLES = ("eval",)
METRICS: Registry[MetricPlugin] = Registry("metric", "iodine_kit.metrics")
BATCH = 256
Scores = dict[str, NDArray[np.float64]]


class EvalConfig(Config):
    """What to evaluate.

    Attributes:
        metrics: plug-in names, the most important first.
        table: format of the per-scene table; parquet needs the package pyarrow (extra ``parquet``).
    """

    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("ari", "ari-all", "mse")
    table: Literal["csv", "parquet"] = "csv"

    @field_validator("metrics")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names))


def plan(tables: Tables, predictions: Artifact, dataset: Artifact, reporter: Reporter) -> Job:
    """Resolve the metrics and check that what they need was stored."""
    config, metrics = configure(tables)
    stored = PredictionReader(predictions.path / PREDICTIONS).fields()
    for name, metric in metrics.items():
        if metric.NEEDS is not None and metric.NEEDS not in stored:
            raise SchemaError(
                f"{predictions.path}: metric '{name}' needs '{metric.NEEDS}', which was not stored: "
                f"infer again with '{metric.NEEDS}' in infer.store, or leave the metric out"
            )
    identity = Identity(
        kind="evaluation",
        name=predictions.manifest.identity.name,
        stage="eval",
        version=VERSION,
        plugins={f"metric/{name}": metric.VERSION for name, metric in metrics.items()},
        config={"eval": config.model_dump(mode="json")},
        inputs={"predictions": predictions.reference, "dataset": dataset.reference},
    )
    return Job(identity, lambda out: _make(config, metrics, predictions, dataset, out, reporter))


def configure(tables: Tables) -> tuple[EvalConfig, dict[str, MetricPlugin]]:
    """Validate the tables and load the metrics they name."""
    config = build(EvalConfig, tables.get("eval", {}), "eval")
    if config.table == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError("eval.table: parquet needs the package pyarrow: install iodine-kit[parquet] or use csv")
    return config, {name: METRICS.load(name) for name in config.metrics}


def _make(
    config: EvalConfig,
    metrics: dict[str, MetricPlugin],
    predictions: Artifact,
    dataset: Artifact,
    out: Path,
    reporter: Reporter,
) -> Facts:
    info = dataset_info(dataset)
    keys: list[str] = []
    scores: dict[str, list[NDArray[np.float64]]] = {name: [] for name in metrics}
    steps: dict[str, list[NDArray[np.float64]]] = {name: [] for name in metrics}
    with reporter.track("eval", int(predictions.facts["scenes"])) as advance:
        for truth, prediction in paired(predictions, dataset):
            keys += truth.keys
            comparison = Comparison(truth, prediction, info.background)
            for name, metric in metrics.items():
                scores[name].append(metric.score(comparison).values)
                if metric.BY_STEP:
                    steps[name].append(_by_step(metric, comparison))
            advance(len(truth))
    joined = {name: np.concatenate(parts) for name, parts in scores.items()}
    _write_table(out, keys, joined, config.table)
    facts = {
        "metrics": {name: _summary(metrics[name], joined[name], steps[name]) for name in metrics},
        "dataset": info.dataset,
        "split": predictions.facts["split"],
        "scenes": len(keys),
        "resolution": [info.height, info.width],
        "resize": "none: masks are compared at the resolution of the model and the data set",
        "slots": predictions.facts["slots"],
        "steps": predictions.facts["steps"],
        "restarts": predictions.facts["restarts"],
    }
    (out / "summary.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return facts


def paired(predictions: Artifact, dataset: Artifact) -> Iterator[tuple[SceneBatch, PredictionBatch]]:
    """Truth and prediction, batch by batch; raises :class:`SchemaError` if they are of different scenes or sizes."""
    reader = PredictionReader(predictions.path / PREDICTIONS)
    scenes = open_split(dataset, predictions.facts["split"])
    if reader.keys != scenes.keys()[: len(reader)]:
        raise SchemaError(f"{predictions.path}: these predictions are of other scenes than {dataset.path} holds")
    for start in range(0, len(reader), BATCH):
        stop = min(start + BATCH, len(reader))
        truth, prediction = scenes.batch(range(start, stop)), reader.batch(start, stop)
        if truth.mask.shape != prediction.mask.shape:
            sizes = f"{prediction.mask.shape[1:]} and {truth.mask.shape[1:]}"
            raise SchemaError(f"{predictions.path}: predicted and true masks have different sizes, {sizes}")
        yield truth, prediction


def _by_step(metric: MetricPlugin, comparison: Comparison) -> NDArray[np.float64]:
    """Scores after every decode, ``float64[B, T+1]``; no columns if the masks of the steps were not stored."""
    columns = [metric.score(step).values for step in comparison.steps()]
    return np.stack(columns, 1) if columns else np.empty((len(comparison), 0))


def _summary(metric: MetricPlugin, scores: NDArray[np.float64], steps: list[NDArray[np.float64]]) -> dict[str, Any]:
    defined = scores[np.isfinite(scores)]
    by_step = np.concatenate(steps) if steps else np.empty((len(scores), 0))
    return {
        "title": metric.TITLE,
        "mean": _number(defined.mean()) if len(defined) else None,
        "std": _number(defined.std(ddof=1)) if len(defined) > 1 else None,
        "median": _number(np.median(defined)) if len(defined) else None,
        "n": len(defined),
        "undefined": len(scores) - len(defined),
        "by_step": [_number(np.nanmean(column)) for column in by_step.T if np.isfinite(column).any()],
        "convention": describe(metric, Rules()),
    }


def _number(value: Any) -> float:
    return float(value)


def _write_table(out: Path, keys: list[str], scores: Scores, kind: str) -> None:
    import pandas as pd  # here, because it takes a second to load

    table = pd.DataFrame({"key": keys, **scores})
    if kind == "parquet":
        table.to_parquet(out / "scenes.parquet", index=False)
    else:
        table.to_csv(out / "scenes.csv", index=False, lineterminator="\n")


def read_table(evaluation: Artifact) -> Scores:
    """The per-scene scores of an evaluation, by metric."""
    import pandas as pd

    path = evaluation.path / "scenes.parquet"
    table = pd.read_parquet(path) if path.exists() else pd.read_csv(evaluation.path / "scenes.csv")
    return {name: table[name].to_numpy(np.float64) for name in table.columns if name != "key"}
