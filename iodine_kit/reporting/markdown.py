"""The report in short, as Markdown for a repository."""

from __future__ import annotations

from collections.abc import Sequence

from iodine_kit.formatting import count, setting
from iodine_kit.reporting.context import LineageItem, ReportContext
from iodine_kit.reporting.sections.summary import metrics_table, over_seeds
from iodine_kit.tables import as_markdown, fenced, md, md_code


def render_markdown(context: ReportContext, figures: Sequence[str] = (), tables: Sequence[str] = ()) -> str:
    """Metrics with their conventions, pictures, and the provenance; ends with a line feed. Same context, same text.

    ``figures`` are paths of the picture files from the text's place; of a chart in both kinds the PNG is shown.
    ``tables`` are more tables, in Markdown already.
    """
    parts = [
        f"# {md(context.title)}",
        md(context.summary),
        _facts(context),
        _evaluations(context),
        _metrics(context),
        "\n".join(f"- {md(label)}: {md(sentence)}" for label, sentence in context.rules),
        *(table.rstrip("\n") for table in tables),
        "\n\n".join(f"![{md(_words(path))}]({path})" for path in _shown(figures)),
        "## Conventions" if context.metrics else "",
        "\n".join(f"- **{md(m.title)}** {md(m.convention)}" for m in context.metrics.values()),
        "## Lineage" if context.lineage else "",
        "\n".join(_item(item) for item in context.lineage),
        f"## Command\n\n{fenced(context.command)}" if context.command else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(context: ReportContext) -> str:
    height, width = context.resolution
    size = f"{height} × {width} pixels"
    size += f", K = {context.slots} slots" if context.slots is not None else ""
    size += f", T = {context.steps} refinement steps" if context.steps else ""
    size += f", lowest loss of {context.restarts} inferences per scene" if context.restarts > 1 else ""
    return f"{md(context.dataset)}, split {md(context.split)}, {size}."


def _evaluations(context: ReportContext) -> str:
    if not context.evaluations:
        return ""
    first, several = context.evaluations[0], over_seeds(context)
    seeds = f" {md(next(iter(context.metrics.values())).title)}, mean ± sd of " if several else ""
    seeds += (
        f"{len(context.seeds.seeds)} seeds, {md(context.seeds.name)}: {several}." if context.seeds and several else ""
    )
    names = "; ".join(context.evaluations)
    return (
        f"{len(context.evaluations)} evaluations are compared: {md(names)}. The comparison and the lineage are about "
        f"all of them. The table of metrics and the other figures show only the first one, **{md(first)}**.{seeds}"
    )


def _metrics(context: ReportContext) -> str:
    return as_markdown(metrics_table(context, context.metrics)).rstrip("\n") if context.metrics else ""


def _shown(figures: Sequence[str]) -> list[str]:
    """PNGs and moving pictures, and SVGs that are no PNG too; the scenes first."""
    names = set(figures)
    kept = [path for path in figures if not (path.endswith(".svg") and path.removesuffix(".svg") + ".png" in names)]
    return sorted(kept, key=lambda path: (not path.endswith(".gif"), "scenes" not in path))


def _words(path: str) -> str:
    """``figures/breakdown.png`` as ``breakdown``."""
    return path.rpartition("/")[2].partition(".")[0]


def _item(item: LineageItem) -> str:
    lines = [f"- **{md(item.role)}** {md_code(item.directory)}, key {md_code(item.key)}"]
    lines += [f"  - {md(label)}: {md(value)}" for label, value in item.facts]
    lines += [
        f"  - from {md_code(name)}, {count(size)} bytes, sha256 {md_code(sha)}" for name, size, sha in item.sources
    ]
    lines += [f"  - file {md_code(path)}, {count(size)} bytes, sha256 {md_code(sha)}" for path, size, sha in item.files]
    if item.config:
        settings = ", ".join(md_code(f"{name} = {setting(value)}") for name, value in item.config.items())
        lines.append(f"  - configuration: {settings}")
    return "\n".join(lines)
