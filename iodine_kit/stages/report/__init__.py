"""report: turns an evaluation and everything that it was made from into one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from iodine_kit.artifacts.evaluations import check_masks, check_version
from iodine_kit.config import Config, build
from iodine_kit.errors import SchemaError
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.stages.report.context import build_context
from iodine_kit.store import Artifact, Identity, Store

VERSION = 4
TABLES = ("report",)
INPUTS = ("dataset", "predictions", "evaluation")
PAGE = "index.html"
MARKDOWN = "report.md"
FIGURES = "figures"


class ReportConfig(Config):
    """What the page shows.

    Attributes:
        title: heading of the page. Defaults to the name of the model.
        summary: first paragraph of the page.
        scenes: number of scenes to show, from the start of the split; fewer if their pictures exceed
            ``most_megabytes``.
        most_megabytes: largest size of the pictures of scenes in the page, in megabytes.
        published: published scores by name of the metric, for example ``ari = "99.2 ± 0.4 %"``.
    """

    title: str = ""
    summary: str = ""
    scenes: Annotated[int, Field(ge=0, le=10_000)] = 320
    most_megabytes: Annotated[float, Field(gt=0)] = 12.0
    published: dict[str, str] = {}


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Resolve the configuration.

    ``inputs`` holds dataset, run, predictions and evaluation, in this order; no run if the predictions were imported.
    It may also hold probe and traversal, and comparison with ``evaluation-2`` and ``predictions-2`` … of other runs.
    """
    config, chain = configure(tables), inputs
    evaluation = chain["evaluation"]
    for role, artifact in chain.items():
        if role.startswith("evaluation"):
            check_version(artifact)
            if "truth" not in artifact.manifest.identity.inputs:
                check_masks(artifact, chain["dataset"])
    for role in ("probe", "traversal"):
        if (
            role in chain
            and chain[role].manifest.identity.inputs["predictions"].key != chain["predictions"].manifest.key
        ):
            raise SchemaError(f"{chain[role].path} was made of other predictions than {evaluation.path}")
    identity = Identity(
        kind="report",
        name=evaluation.manifest.identity.name,
        stage="report",
        version=VERSION,
        config={"report": config.model_dump(mode="json")},
        inputs={role: artifact.reference for role, artifact in chain.items()},
    )
    return Job(identity, lambda out: _make(config, chain, context.store, out, context.reporter))


def configure(tables: Tables) -> ReportConfig:
    """Validate the tables."""
    return build(ReportConfig, tables.get("report", {}), "report")


def _make(
    config: ReportConfig, chain: Mapping[str, Artifact], store: Store, out: Path, reporter: Reporter
) -> FactValues:
    from iodine_kit.evaluation.comparison_tables import model_table, pair_tables
    from iodine_kit.reporting.figures import figure_files
    from iodine_kit.reporting.markdown import render_markdown
    from iodine_kit.reporting.report_page import render_page
    from iodine_kit.tables import as_markdown

    with reporter.track("report", 3) as advance:
        context = build_context(config, chain, store)
        advance(1)
        (out / PAGE).write_text(render_page(context), "utf-8")
        advance(1)
        figures, missing = figure_files(context)
        if missing:
            reporter.note(missing)
        (out / FIGURES).mkdir()
        for name, content in figures.items():
            (out / FIGURES / name).write_bytes(content)
        compared = context.comparison
        tables = [replace(model_table(compared), notes=()), *pair_tables(compared)] if compared else []
        places = [f"{FIGURES}/{name}" for name in figures]
        (out / MARKDOWN).write_text(render_markdown(context, places, [as_markdown(table) for table in tables]), "utf-8")
        advance(1)
    return {"page": PAGE, "markdown": MARKDOWN, "scenes": len(context.scenes), "figures": sorted(figures)}
