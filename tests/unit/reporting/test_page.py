from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from unit.reporting.page_parser import PageParser
from unit.reporting.test_pictures import decode

from iodine_kit.registry import Registry
from iodine_kit.reporting.context import LineageItem, MetricSummary, ReportContext
from iodine_kit.reporting.report_page import SECTIONS, render_page, render_sections
from iodine_kit.reporting.sections import SectionPlugin

EVIL = """<script>alert("x")</script>'&"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@pytest.fixture(scope="module")
def page(context: ReportContext) -> PageParser:
    return PageParser(render_page(context))


def test_page_is_well_formed(page: PageParser) -> None:
    assert page.errors == []
    assert len(page.ids()) == len(set(page.ids()))


def test_the_page_loads_nothing_from_the_network(context: ReportContext, page: PageParser) -> None:
    places = [a[name] or "" for _, a in page.tags for name in ("src", "href", "srcset", "action", "data") if name in a]
    assert [place for place in places if not place.startswith(("data:image/png;base64,", "#"))] == []
    style = "".join(re.findall(r"<style>.*?</style>|style=\"[^\"]*\"", render_page(context), re.S))
    strips = re.findall(r"url\(([^)]*)\)", style)
    assert len(strips) == 4 * len(context.scenes)
    assert [strip for strip in strips if not strip.startswith("data:image/png;base64,")] == []
    assert "@import" not in style and "://" not in style
    assert [a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy"] == [POLICY]


def test_every_section_is_present_in_order(page: PageParser) -> None:
    names = [attributes["id"] for attributes in page.of("section")]
    assert names == ["summary", "scenes", "refinement", "distribution", "training", "lineage"]
    assert [a["href"] for a in page.of("a")] == ["#content", *(f"#{name}" for name in names)]


def test_registry_finds_all_sections() -> None:
    assert SECTIONS.names() == [
        "breakdown", "comparison", "distribution", "lineage", "refinement", "representation", "scenes", "summary",
        "training", "traversals",
    ]  # fmt: skip


def test_pictures_have_descriptions_and_tables_have_captions(page: PageParser) -> None:
    assert all(picture["aria-label"] for picture in page.of("div") if picture.get("role") == "img")
    assert all(chart["aria-label"] for chart in page.of("svg"))
    assert len(page.of("table")) == len(page.of("caption")) > 5


def test_the_page_shows_the_context(page: PageParser, context: ReportContext) -> None:
    text = " ".join(page.text)
    for expected in ("99.2 ± 0.4 %", "14 × 14", "1,228,800", context.command, "4" * 64):
        assert expected in text
    for metric in context.metrics.values():
        assert metric.title in text and metric.convention in text


def test_each_scene_has_a_strip_with_the_masks_of_all_steps(page: PageParser, context: ReportContext) -> None:
    cards = [card["style"] or "" for card in page.of("li") if "data-place" in card]
    assert len(cards) == len(context.scenes)
    for scene, style in zip(context.scenes, cards, strict=True):
        strip = decode(re.search(r"--masks:url\(([^)]*)\)", style)[1]).convert("RGB")  # type: ignore[index]
        frames = np.split(np.asarray(strip), context.steps + 2, 1)
        for mask, frame in zip(scene.step_mask, frames[1:], strict=True):  # one colour for each slot, in its place
            colours = np.unique(frame.reshape(-1, 3), axis=0, return_inverse=True)[1]
            assert adjusted_rand_score(mask.ravel(), colours.ravel()) == 1


def test_same_context_same_bytes(context: ReportContext, make_context: Callable[..., ReportContext]) -> None:
    assert render_page(context) == render_page(context) == render_page(make_context())


def test_page_is_small(context: ReportContext) -> None:
    assert len(render_page(context).encode()) < 1_000_000


def test_large_page_of_noise_stays_below_eight_megabytes(make_context: Callable[..., ReportContext]) -> None:
    context = make_context(scenes=24, cell=18, slots=7)  # 126 × 126 pixels, white noise in every soft mask
    page = render_page(context)
    assert page.count("data-place=") == 24
    assert len(page.encode()) < 8_000_000


def test_only_the_first_scenes_are_shown_if_the_page_would_be_too_large(
    make_context: Callable[..., ReportContext],
) -> None:
    context = replace(make_context(scenes=12, cell=18, slots=7), most_bytes=600_000)
    page = PageParser(render_page(context))
    shown = sum("data-place" in card for card in page.of("li"))
    assert 1 <= shown < 12
    assert any(f"{shown} of 12 scenes are here" in text for text in page.text)


def test_every_value_is_escaped(context: ReportContext) -> None:
    metric = MetricSummary(EVIL, EVIL, 0.5, 0.1, 0.5, 2, 0, np.array([0.4, 0.6]), EVIL, (0.1, 0.5))
    item = LineageItem(EVIL, EVIL, EVIL, [(EVIL, EVIL)], [(EVIL, 1, EVIL)], [(EVIL, 2, EVIL)], {EVIL: EVIL})
    scene = replace(context.scenes[0], key=EVIL, scores={EVIL: 0.5})
    page = render_page(replace(
        context, title=EVIL, summary=EVIL, dataset=EVIL, split=EVIL, command=EVIL,
        metrics={EVIL: metric}, lineage=[item], scenes=[scene],
    ))  # fmt: skip
    parsed = PageParser(page)
    assert parsed.errors == []
    assert page.count("<script>") == 1 and len(parsed.of("script")) == 2  # the other one is data
    assert parsed.text.count(EVIL) > 10


def test_a_new_section_is_found_by_its_file(
    context: ReportContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "extra_report_sections"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_helper.py").write_text("raise AssertionError('helpers are not sections')")
    (package / "late_words.py").write_text(
        "ORDER = 2\nTITLE = 'Late'\ndef render(context): return '<b>' + context.split"
    )
    (package / "early.py").write_text("ORDER = 1\nTITLE = 'Early'\ndef render(context): return 'first'")
    (package / "empty.py").write_text("ORDER = 0\nTITLE = 'Empty'\ndef render(context): return ''")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[SectionPlugin] = Registry("report section", "extra_report_sections", SectionPlugin)
    assert [section.name for section in render_sections(context, registry)] == ["early", "late-words"]
    page = PageParser(render_page(context, registry))
    assert page.errors == []
    assert "<b>test" in page.text  # plain text from a section is escaped


def test_a_choice_among_several_inferences_is_stated(context: ReportContext) -> None:
    assert "lowest loss of 5" in render_page(replace(context, restarts=5))
    assert "lowest loss" not in render_page(context)


@pytest.mark.parametrize(
    ("miou", "foreground", "said"), [(0.2, 0.9, True), (0.8, 0.9, False), (float("nan"), 0.9, False)]
)
def test_the_summary_says_if_slots_share_the_background(
    context: ReportContext, miou: float, foreground: float, said: bool
) -> None:
    metric = context.metrics["ari"]
    metrics = {"miou": replace(metric, mean=miou), "miou-fg": replace(metric, mean=foreground)}
    sentence = "The slots of objects contain background pixels too"
    assert (sentence in render_page(replace(context, metrics={**context.metrics, **metrics}))) == said
    assert sentence not in render_page(context)
