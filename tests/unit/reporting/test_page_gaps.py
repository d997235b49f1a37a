from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from unit.reporting.page_parser import PageParser

from iodine_kit.reporting.context import MetricSummary, ReportContext
from iodine_kit.reporting.report_page import render_page


def bare(context: ReportContext) -> ReportContext:
    """A context with nothing except the names."""
    return replace(context, summary="", metrics={}, scenes=[], training=[], elbo_by_step=(), lineage=[], command="")


def test_a_column_that_is_logged_less_often_has_no_gaps(context: ReportContext) -> None:
    log = [
        {"step": float(step), "loss": 1.0 / step} | ({"kl": 2.0 * step} if step % 2 else {}) for step in range(1, 10)
    ]
    page = PageParser(render_page(replace(context, training=log, metrics={}, elbo_by_step=())))
    assert [len((curve["points"] or "").split()) for curve in page.of("polyline")] == [9, 5]
    assert not [text for text in page.text if "not finite" in text]


def test_an_undefined_metric_is_shown_as_undefined(context: ReportContext) -> None:
    nan = float("nan")
    metric = MetricSummary("FG-ARI", "Convention.", nan, nan, nan, 0, 2, np.full(2, nan), "", (nan, nan))
    scene = replace(context.scenes[0], scores={"ari": nan})
    page = PageParser(render_page(replace(context, metrics={"ari": metric}, scenes=[scene])))
    assert page.errors == []
    assert page.text.count("undefined") == 3  # the headline, the column, and the scene's score
    assert "distribution" not in page.ids()
    assert not [text for text in page.text if re.search(r"\bnan\b", text, re.I)]


def test_predictions_that_were_not_stored_are_omitted(context: ReportContext) -> None:
    scenes = [replace(s, soft_mask=None, component=None, reconstruction=None) for s in context.scenes[:2]]
    page = PageParser(render_page(replace(context, scenes=scenes)))
    assert page.errors == []
    assert sum(picture.get("role") == "img" for picture in page.of("div")) == 2 * 3
    assert not {"error", "reconstruction"} & set(page.text)


def test_a_slot_shows_the_part_of_it_that_was_stored(context: ReportContext) -> None:
    scene = context.scenes[0]
    for half, strip, missing in (
        (replace(scene, soft_mask=None), "--components:url(", "--opacity:url("),
        (replace(scene, component=None), "--opacity:url(", "--components:url("),
    ):
        page = render_page(replace(context, scenes=[half]))
        assert strip in page and missing not in page and PageParser(page).errors == []


def test_without_content_only_the_summary_remains(context: ReportContext) -> None:
    page = PageParser(render_page(bare(context)))
    assert page.errors == []
    assert [attributes["id"] for attributes in page.of("section")] == ["summary"]


def test_non_finite_values_do_not_break_the_page(context: ReportContext) -> None:
    scene = context.scenes[0]
    assert scene.reconstruction is not None
    broken = np.full_like(scene.reconstruction, np.nan)
    nll = [float("nan") if step % 2 else 1.0 for step in range(9)]
    log = [{"step": float(step), "loss": float("inf"), "nll": nll[step], "kl": -1e308} for step in range(9)]
    page = PageParser(render_page(replace(
        context, scenes=[replace(scene, reconstruction=broken)], training=log, elbo_by_step=(float("-inf"), 1.0)
    )))  # fmt: skip
    assert page.errors == []
    assert "4 values are not finite and not drawn." in page.text
