"""The page in a real browser: an installed Chromium, controlled by playwright; skipped without either."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.report_page import render_page

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
SCENES = 12
Opened = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def written(
    make_context: Callable[..., ReportContext], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ReportContext]:
    context = make_context(scenes=SCENES)
    scenes = [replace(scene, objects=2 + place % 2) for place, scene in enumerate(context.scenes)]
    scenes[4] = replace(scenes[4], scores={"ari": float("nan"), "mse": 0.5})
    context = replace(context, scenes=scenes, worst=[scenes[1].key])
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render_page(context), "utf-8")
    return path, context


@pytest.fixture
def opened(browser: Any, written: tuple[Path, ReportContext]) -> Iterator[Opened]:
    """Open the page; any console message and any network request fails the test."""
    complaints: list[str] = []
    pages = []

    def open_page(width: int = 1200, scheme: str = "light") -> Any:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(written[0].as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def keys(page: Any) -> list[str]:
    return page.eval_on_selector_all(
        ".card", "cards => cards.filter(c => !c.hidden).map(c => c.querySelector('h3').textContent)"
    )  # type: ignore[no-any-return]


def test_the_slider_moves_the_masks(opened: Opened, written: tuple[Path, ReportContext]) -> None:
    page, context = opened(), written[1]
    position = "getComputedStyle(document.querySelector('.card .steps')).backgroundPositionX"
    places = {}
    for step in (0, 2, context.steps):
        page.locator("#step").fill(str(step))
        places[step] = page.evaluate(position)
        assert page.locator("[data-status]").inner_text().startswith(f"{step} of {context.steps}, mean FG-ARI")
    frames = context.steps + 2  # the true mask is the first one
    expected = {step: 100 * (1 + step) / (frames - 1) for step in places}
    assert {step: float(place.rstrip("%")) for step, place in places.items()} == pytest.approx(expected, abs=0.01)


def test_play_goes_from_the_first_step_to_the_last(opened: Opened, written: tuple[Path, ReportContext]) -> None:
    page, context = opened(), written[1]
    page.clock.install()
    page.get_by_role("button", name="Play").click()
    assert page.locator("#step").input_value() == "0"
    page.clock.run_for(700 * context.steps)
    assert page.locator("#step").input_value() == str(context.steps)
    assert page.get_by_role("button", name="Play").count() == 1


def test_sorting_sorts_by_every_metric_and_puts_undefined_last(
    opened: Opened, written: tuple[Path, ReportContext]
) -> None:
    page, context = opened(), written[1]
    by_key = {scene.key: scene.scores for scene in context.scenes}
    for metric in ("ari", "mse"):
        page.locator("#metric").select_option(metric)
        for order, sign in (("Lowest first", 1), ("Highest first", -1)):
            page.get_by_role("button", name=order).click()
            scores = np.array([by_key[key][metric] for key in keys(page)])
            defined = scores[np.isfinite(scores)]
            assert len(scores) == SCENES and (np.diff(sign * defined) >= 0).all()
            assert np.isfinite(scores[: len(defined)]).all()
    page.get_by_role("button", name="Data order").click()
    assert keys(page) == [scene.key for scene in context.scenes]


def test_the_filter_keeps_scenes_with_so_many_objects(opened: Opened, written: tuple[Path, ReportContext]) -> None:
    page, context = opened(), written[1]
    page.locator("#objects").select_option("3")
    assert keys(page) == [scene.key for scene in context.scenes if scene.objects == 3]
    assert page.locator("[data-shown]").inner_text() == f"{SCENES // 2} of {SCENES} scenes"
    page.locator("#objects").select_option("2")
    page.locator("a[href='#scene-1']").click()  # it has three objects: the filter must not hide it
    page.locator("#scene-1").wait_for()  # not wait_for_function: it evaluates in the page, which its policy forbids
    assert page.locator("#objects").input_value() == ""


def test_slots_can_be_shown_in_three_ways(opened: Opened) -> None:
    page = opened()
    look = "getComputedStyle(document.querySelector('.slot'))"
    assert page.evaluate(f"{look}.maskImage").startswith("url(") and page.evaluate(f"{look}.backgroundImage") != "none"
    page.get_by_role("button", name="component", exact=True).click()
    assert page.evaluate(f"{look}.maskImage") == "none"
    page.get_by_role("button", name="mask", exact=True).click()
    assert page.evaluate(f"{look}.maskImage").startswith("url(") and page.evaluate(f"{look}.backgroundImage") == "none"


@pytest.mark.parametrize("width", [390, 768, 1600])
def test_nothing_is_wider_than_the_window(opened: Opened, width: int) -> None:
    assert opened(width).evaluate("document.documentElement.scrollWidth") <= width


def test_dark_is_dark_and_light_is_light(opened: Opened) -> None:
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    assert max(opened(scheme="dark").evaluate(ground)) < 60 < 200 < min(opened(scheme="light").evaluate(ground))


def test_controls_can_be_used_without_a_mouse(opened: Opened) -> None:
    page = opened()
    page.locator("#step").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("[data-status]").inner_text().startswith("4 of 5")
    page.get_by_role("button", name="Lowest first").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Lowest first").get_attribute("aria-pressed") == "true"
