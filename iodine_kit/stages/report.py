"""report: an evaluation and everything it came from become one page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from iodine_kit.config import Config, build, flatten
from iodine_kit.predictions import PREDICTIONS, PredictionReader
from iodine_kit.progress import Reporter
from iodine_kit.records import PredictionBatch, SceneBatch
from iodine_kit.reporting.context import LineageItem, MetricSummary, ReportContext, SceneView
from iodine_kit.stages.evaluate import Scores, paired, read_table
from iodine_kit.stages.job import Facts, Job, Tables
from iodine_kit.stages.outcome import training_facts
from iodine_kit.stages.provenance import lineage_of
from iodine_kit.store import Artifact, Identity
from iodine_kit.training.files import METRICS
from iodine_kit.training.rows import read_metrics

VERSION = 2
TABLES = ("report",)
PAGE = "index.html"
MARKDOWN = "report.md"


class ReportConfig(Config):
    """What the page shows.

    Attributes:
        title, summary: heading and first paragraph.
        scenes: number of scenes to picture, the first of the split.
        published: what the literature reports, by metric name, for example ``ari = "99.2 ± 0.4 %"``.
    """

    title: str = "IODINE"
    summary: str = ""
    scenes: Annotated[int, Field(ge=0, le=500)] = 24
    published: dict[str, str] = {}


def plan(tables: Tables, chain: Mapping[str, Artifact], reporter: Reporter) -> Job:
    """Resolve the configuration; ``chain`` holds dataset, run, predictions and evaluation, in this order."""
    config = configure(tables)
    evaluation = chain["evaluation"]
    identity = Identity(
        kind="report",
        name=evaluation.manifest.identity.name,
        stage="report",
        version=VERSION,
        config={"report": config.model_dump(mode="json")},
        inputs={role: artifact.reference for role, artifact in chain.items()},
    )
    return Job(identity, lambda out: _make(config, chain, out, reporter))


def configure(tables: Tables) -> ReportConfig:
    """Validate the tables."""
    return build(ReportConfig, tables.get("report", {}), "report")


def _make(config: ReportConfig, chain: Mapping[str, Artifact], out: Path, reporter: Reporter) -> Facts:
    from iodine_kit.reporting.markdown import render_markdown
    from iodine_kit.reporting.page import render_page

    with reporter.track("report", 1) as advance:
        context = gather(config, chain)
        (out / PAGE).write_text(render_page(context), "utf-8")
        (out / MARKDOWN).write_text(render_markdown(context), "utf-8")
        advance(1)
    return {"page": PAGE, "markdown": MARKDOWN, "scenes": len(context.scenes)}


def gather(config: ReportConfig, chain: Mapping[str, Artifact]) -> ReportContext:
    """Collect everything the page may show."""
    evaluation, predictions = chain["evaluation"], chain["predictions"]
    facts, scores = evaluation.facts, read_table(evaluation)
    elbo = PredictionReader(predictions.path / PREDICTIONS).column("elbo")
    return ReportContext(
        title=config.title,
        summary=config.summary,
        dataset=facts["dataset"],
        split=facts["split"],
        resolution=(facts["resolution"][0], facts["resolution"][1]),
        slots=facts["slots"],
        steps=facts["steps"],
        restarts=facts["restarts"],
        metrics={name: _metric(name, facts["metrics"][name], scores, config) for name in facts["metrics"]},
        scenes=_scenes(config.scenes, chain, scores),
        training=_training_log(chain["run"]),
        training_facts=training_facts(chain["run"]),
        elbo_by_step=[] if elbo is None else elbo.mean(0, dtype=np.float64).tolist(),
        lineage=[_lineage(role, artifact) for role, artifact in chain.items()],
        command=_command(config, evaluation),
    )


def _command(config: ReportConfig, evaluation: Artifact) -> str:
    """The shell command that makes this page again; JSON's spelling of a value is TOML's too."""
    leaves = flatten(config.model_dump(exclude_defaults=True))
    settings = [f"report.{name}={json.dumps(value, ensure_ascii=False)}" for name, value in leaves.items()]
    options = [part for setting in settings for part in ("--set", setting)]
    return shlex.join(["iodine-kit", "report", "--evaluation", evaluation.reference.directory, *options])


def _metric(name: str, facts: Mapping[str, Any], scores: Scores, config: ReportConfig) -> MetricSummary:
    def number(key: str) -> float:
        return float("nan") if facts[key] is None else float(facts[key])

    return MetricSummary(
        title=facts["title"],
        convention=facts["convention"],
        mean=number("mean"),
        std=number("std"),
        median=number("median"),
        n=facts["n"],
        undefined=facts["undefined"],
        scores=scores[name],
        published=config.published.get(name, ""),
        by_step=facts["by_step"],
    )


def _scenes(count: int, chain: Mapping[str, Artifact], scores: Scores) -> list[SceneView]:
    views: list[SceneView] = []
    for truth, prediction in paired(chain["predictions"], chain["dataset"]):
        if len(views) >= count:
            break
        for row in range(min(len(truth), count - len(views))):
            of_scene = {name: float(values[len(views)]) for name, values in scores.items()}
            views.append(_view(truth, prediction, row, of_scene))
    return views


def _view(truth: SceneBatch, prediction: PredictionBatch, row: int, scores: Mapping[str, float]) -> SceneView:
    def pick(values: Any) -> Any:
        return None if values is None else values[row]

    steps = prediction.mask[row][None] if prediction.step_mask is None else prediction.step_mask[row]
    return SceneView(
        key=truth.keys[row],
        scores=scores,
        image=truth.image[row],
        true_mask=truth.mask[row],
        step_mask=steps,
        soft_mask=pick(prediction.soft_mask),
        component=pick(prediction.component),
        reconstruction=pick(prediction.reconstruction),
    )


def _training_log(run: Artifact) -> list[dict[str, Any]]:
    return read_metrics(run.path / METRICS)


def _lineage(role: str, artifact: Artifact) -> LineageItem:
    """An artifact of the chain, with all its facts that are numbers or words."""
    facts = flatten(artifact.manifest.facts).items()
    return lineage_of(role, artifact, [(k, str(v)) for k, v in facts if isinstance(v, int | float | str)])
