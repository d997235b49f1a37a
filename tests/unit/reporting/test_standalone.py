"""Figures that stand alone, as SVG and as PNG."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from iodine_kit.errors import SourceError
from iodine_kit.reporting import svg_to_png
from iodine_kit.reporting.charts import Plot, plot
from iodine_kit.reporting.charts.series import Series, rows_plot, series_plot
from iodine_kit.reporting.charts.standalone import svg

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


def places(picture: ElementTree.Element) -> list[tuple[float, float]]:
    found = [re.findall(r"[\d.]+", g.attrib["transform"]) for g in picture.iter(f"{SVG}g")]
    return [(float(x), float(y)) for x, y in found]


def test_panels_of_any_height_lie_within_the_picture_and_not_on_each_other() -> None:
    plots = some_plots()
    picture = ElementTree.fromstring(svg([*plots, plots[0]], "t", "s"))
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    heights = [float(one.frame.fields()["height"]) for one in [*plots, plots[0]]]
    spots = places(picture)
    assert len(spots) == 4
    assert all(x + 420 <= width and y + tall <= height for (x, y), tall in zip(spots, heights, strict=True))
    assert spots[2][1] >= spots[0][1] + max(heights[:2])


def test_series_have_the_colours_that_the_file_states() -> None:
    text = svg(some_plots(), "t")
    used = set(re.findall(r'class="(?:series|mark) (s\d)"', text))
    assert used and all(re.search(rf"\.{name} {{ stroke: #", text) for name in used)
    assert "var(" not in text and "url(" not in text


def test_words_are_never_wider_than_the_picture_and_nothing_is_a_picture_too() -> None:
    empty = ElementTree.fromstring(svg([], "A title & <more>", "A line " * 40))
    assert float(empty.attrib["width"]) > 1200
    assert [text.text for text in empty.iter(f"{SVG}text")] == ["A title & <more>", "A line " * 40]


def test_png_has_the_words_of_the_svg() -> None:
    if svg_to_png.font() is None:
        pytest.skip("this system has no font that resvg knows")
    written, blank = (
        np.asarray(Image.open(io.BytesIO(svg_to_png.png_of(svg([], title), 600))).convert("L"))
        for title in ("MMMM", " ")
    )
    assert written.shape[1] == 600
    assert (blank > 250).all() and (written < 128).sum() > 100


def test_without_a_font_there_is_no_picture_but_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg_to_png, "_writes", lambda family: False)  # on some systems an unknown family gets another's
    svg_to_png.font.cache_clear()
    try:
        with pytest.raises(SourceError, match="install one"):
            svg_to_png.png_of(svg([], "t"), 100)
    finally:
        svg_to_png.font.cache_clear()
