from __future__ import annotations

from dataclasses import replace

import numpy as np

from iodine_kit.reporting.context import MetricSummary, ReportContext
from iodine_kit.reporting.markdown import render_markdown
from iodine_kit.tables import md, md_code


def test_metrics_conventions_and_lineage_are_shown(context: ReportContext) -> None:
    page = render_markdown(context)
    assert page.startswith("# IODINE on Tetrominoes\n")
    assert "| FG-ARI ↑ | 0.98" in page and "| 318 | 2 | 99.2 ± 0.4 % |" in page
    assert "\ntetrominoes, split test, 14 × 14 pixels, K = 4 slots, T = 5 refinement steps.\n" in page
    for metric in context.metrics.values():
        assert md(metric.convention) in page
    for item in context.lineage:
        assert f"`{item.directory}`, key `{item.key}`" in page
    assert f"```sh\n{context.command}\n```\n" in page
    assert "\n\n\n" not in page and page.endswith("\n") and page == render_markdown(context)


def test_an_undefined_mean_is_a_dash(context: ReportContext) -> None:
    nan = float("nan")
    metric = MetricSummary("FG-ARI", "Convention.", nan, nan, nan, 0, 1, np.array([nan]))
    assert "| FG-ARI ↑ | – | – | – | – | 0 | 1 |" in render_markdown(replace(context, metrics={"ari": metric}))


def test_special_characters_are_escaped(context: ReportContext) -> None:
    assert md("a|b\n<script> *x* `y`") == r"a\|b \<script\> \*x\* \`y\`"
    assert md_code("a`b") == "`` a`b ``"
    page = render_markdown(replace(context, title="<script>", command="echo '```'"))
    assert r"# \<script\>" in page and "````sh\necho '```'\n````" in page


def test_an_empty_context_has_no_tables_and_headings(context: ReportContext) -> None:
    page = render_markdown(replace(context, summary="", metrics={}, lineage=[], command=""))
    assert "|" not in page and "##" not in page


def test_figures_are_shown_once_and_the_animation_first(context: ReportContext) -> None:
    page = render_markdown(context, ["figures/a.svg", "figures/a.png", "figures/b.svg", "figures/refinement.gif"])
    links = [line.partition("](")[2].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert links == ["figures/refinement.gif", "figures/a.png", "figures/b.svg"]
