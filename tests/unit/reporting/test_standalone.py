"""Figures as files, as SVG and as PNG."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from iodine_kit.errors import SourceError
from iodine_kit.reporting.charts import Plot, Series, plot, rows_plot, series_plot, standalone
from iodine_kit.reporting.charts.standalone import svg, svg_to_png, usable_font

SVG = "{http://www.w3.org/2000/svg}"


def some_plots() -> list[Plot]:
    points = [Series("a", [0, 1], [0.2, 0.4], [0.1, 0.3], [0.3, 0.5]), Series("b", [0, 1], [0.5, 0.6])]
    plots = [
        plot([0, 1, 2], [0.1, 0.5, 0.4], title="Curve", x_label="step", unit="nats"),
        series_plot(points, title="Series", x_label="K"),
        rows_plot([f"row {i}" for i in range(30)], [Series("", range(30), np.linspace(0, 1, 30), line=False)],
                  title="Rows", x_label="FG-ARI"),
    ]  # fmt: skip
    return [one for one in plots if one is not None]


def positions(picture: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = [re.findall(r"[\d.]+", g.attrib["transform"]) for g in picture.iter(f"{SVG}g")]
    return [(float(x), float(y)) for x, y in pairs]


def test_panels_of_any_height_are_inside_the_picture_and_do_not_overlap() -> None:
    plots = some_plots()
    picture = ElementTree.fromstring(svg([*plots, plots[0]], "t", "s"))
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    heights = [float(one.frame.fields()["height"]) for one in [*plots, plots[0]]]
    panels = positions(picture)
    assert len(panels) == 4
    assert all(x + 420 <= width and y + tall <= height for (x, y), tall in zip(panels, heights, strict=True))
    assert panels[2][1] >= panels[0][1] + max(heights[:2])


def test_the_file_defines_the_colours_of_its_series() -> None:
    text = svg(some_plots(), "t")
    used = set(re.findall(r'class="(?:series|mark) (s\d)"', text))
    assert used and all(re.search(rf"\.{name} {{ stroke: #", text) for name in used)
    assert "var(" not in text and "url(" not in text


def test_text_is_never_wider_than_the_picture_even_without_plots() -> None:
    empty = ElementTree.fromstring(svg([], "A title & <more>", "A line " * 40))
    assert float(empty.attrib["width"]) > 1200
    assert [text.text for text in empty.iter(f"{SVG}text")] == ["A title & <more>", "A line " * 40]


def test_the_png_contains_the_text_of_the_svg() -> None:
    if usable_font() is None:
        pytest.skip("this system has no font that resvg can use")
    written, blank = (
        np.asarray(Image.open(io.BytesIO(svg_to_png(svg([], title), 600))).convert("L")) for title in ("MMMM", " ")
    )
    assert written.shape[1] == 600
    assert (blank > 250).all() and (written < 128).sum() > 100


def test_without_a_font_there_is_an_error_instead_of_a_png(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standalone, "_draws_text", lambda family: False)  # some systems substitute unknown families
    usable_font.cache_clear()
    try:
        with pytest.raises(SourceError, match="install one"):
            svg_to_png(svg([], "t"), 100)
    finally:
        usable_font.cache_clear()
