"""compare: evaluations on the same scenes become a comparison of their models, each with the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from iodine_kit.artifacts.evaluations import (
    SCENES,
    evaluation_facts,
    read_scenes,
    read_scores,
    write_summary,
    write_table,
)
from iodine_kit.config import Config, TableFormat, build
from iodine_kit.errors import ConfigError, SchemaError, did_you_mean
from iodine_kit.evaluation.bootstrap import Resampling
from iodine_kit.evaluation.comparison import ModelScores
from iodine_kit.evaluation.comparison import compare as compare_scores
from iodine_kit.evaluation.comparison_tables import long_table, model_table, pair_tables
from iodine_kit.metrics import METRICS
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.stages.compare.comparable_models import Model, check, comparable, group, trace
from iodine_kit.store import Artifact, Identity

VERSION = 1
TABLES = ("compare",)
INPUTS = ("evaluation-1", "evaluation-2")
FEWEST = 2


class CompareConfig(Config):
    """How to compare.

    Attributes:
        names: names of the models, in the order in which they first occur. Defaults to names of what distinguishes
            them.
        metrics: names of the metrics. Defaults to all that every evaluation has.
        resamples: number of bootstrap samples; 0 means no intervals.
        level: level of the bootstrap intervals.
        seed: seed of the bootstrap and of the test.
        flips: number of random sign flips in the permutation test.
        table: format of the table per scene; ``parquet`` needs the package pyarrow (extra ``parquet``).
    """

    names: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    resamples: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    flips: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    table: TableFormat = "csv"

    @field_validator("metrics")
    @classmethod
    def _canonical(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(METRICS.canonical, names))


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Group the evaluations by model and check that they can be compared.

    ``inputs`` holds ``evaluation-1``, ``evaluation-2``, …: see :func:`numbered`.

    Raises:
        ConfigError: if there are fewer than two, or names do not fit.
        SchemaError: if they are of other data, splits, conventions or resolutions, or have no metric in common.
    """
    config = configure(tables)
    evaluations = list(inputs.values())
    if len(evaluations) < FEWEST:
        raise ConfigError("a comparison needs two evaluations or more: 'iodine-kit list' shows which there are")
    check(evaluations, context.store)
    models = group([trace(evaluation, context.store) for evaluation in evaluations], config.names)
    metrics, left_out = _metrics(config, evaluations)
    settings = {**config.model_dump(mode="json"), "metrics": metrics, "names": [model.name for model in models]}
    identity = Identity(
        kind="comparison",
        name=evaluations[0].manifest.identity.name,
        stage="compare",
        version=VERSION,
        config={"compare": settings},
        inputs={role: evaluation.reference for role, evaluation in inputs.items()},
    )
    return Job(identity, lambda out: _make(config, models, metrics, left_out, out, context.reporter))


def configure(tables: Tables) -> CompareConfig:
    """Validate the table."""
    return build(CompareConfig, tables.get("compare", {}), "compare")


def numbered(evaluations: Sequence[Artifact]) -> dict[str, Artifact]:
    """Evaluations by role: ``evaluation-1``, ``evaluation-2``, …"""
    return {f"evaluation-{number}": evaluation for number, evaluation in enumerate(evaluations, 1)}


def _metrics(config: CompareConfig, evaluations: Sequence[Artifact]) -> tuple[list[str], dict[str, str]]:
    found, left_out = comparable(evaluations)
    for name in config.metrics:
        if name not in found:
            reason = left_out.get(name, f"not evaluated{did_you_mean(name, found)}")
            raise SchemaError(f"compare.metrics: '{name}' cannot be compared: {reason}")
    if not found:
        raise SchemaError(f"the evaluations have no metric in common: evaluate with the same metrics ({left_out})")
    return (list(config.metrics), {}) if config.metrics else (found, left_out)


def _make(
    config: CompareConfig,
    models: Sequence[Model],
    metrics: Sequence[str],
    left_out: dict[str, str],
    out: Path,
    reporter: Reporter,
) -> FactValues:
    first = evaluation_facts(models[0].evaluations[0])
    resampling = Resampling(config.resamples, config.level, config.seed)
    scored = [_scores(model, metrics) for model in models]
    with reporter.track("compare", len(models)) as advance:
        facts = compare_scores(scored, metrics, first, resampling, config.flips, left_out, advance)
    write_summary(out, facts, long_table(facts), [model_table(facts), *pair_tables(facts)])
    _write_scenes(out, models, metrics, scored, config.table)
    return facts.as_json()


def _scores(model: Model, metrics: Sequence[str]) -> ModelScores:
    tables = [read_scores(evaluation) for evaluation in model.evaluations]
    return ModelScores(
        name=model.name,
        evaluations=[evaluation.reference.directory for evaluation in model.evaluations],
        seeds=[member.seed for member in model.members],
        resize=evaluation_facts(model.evaluations[0]).resize,
        scores_SNM=np.stack([np.stack([table[name] for name in metrics], 1) for table in tables]),
    )


def _write_scenes(
    out: Path, models: Sequence[Model], metrics: Sequence[str], scored: Sequence[ModelScores], kind: str
) -> None:
    """A row per model and scene: its scores, each the mean over seeds."""
    import pandas as pd

    keys = read_scenes(models[0].evaluations[0])["key"]
    tables = [
        pd.DataFrame({"model": one.name, "key": keys, **dict(zip(metrics, one.scores_SNM.mean(0).T, strict=True))})
        for one in scored
    ]
    write_table(pd.concat(tables), out / SCENES, kind)
