# ruff: noqa: E501 - matrices stay on one line
"""Charts of several series: positions are correct, and the colours are distinct for everyone."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from iodine_kit.reporting.charts import Series, figure, rows_plot, series_plot
from iodine_kit.reporting.charts.series import DARK, LIGHT

# Machado, Oliveira and Fernandes 2009, severity 1.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip


def linear(code: str) -> np.ndarray:
    rgb = np.array(list(bytes.fromhex(code))) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    to_lms = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
    to_lab = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
    return to_lab @ np.cbrt(to_lms @ rgb.clip(0, 1))


def contrast(first: str, second: str) -> float:
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted(float(weights @ linear(code)) for code in (first, second))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("palette", "ground"), [(LIGHT, "fbfafc"), (LIGHT, "ffffff"), (DARK, "141219")])
def test_colours_contrast_with_the_page(palette: tuple[str, ...], ground: str) -> None:
    assert min(contrast(code, ground) for code in palette) >= 3


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_any_two_colours_differ_whatever_the_colour_vision(palette: tuple[str, ...], kind: str) -> None:
    seen = {code: oklab(BLINDNESS[kind] @ linear(code)) for code in palette}
    nearest = min((float(np.linalg.norm(seen[a] - seen[b])), a, b) for a, b in combinations(palette, 2))
    assert nearest[0] >= 0.1, nearest


def test_points_bars_and_the_mark_are_at_their_values() -> None:
    plotted = series_plot(
        [Series("here", [0, 5, 10], [0.0, 0.5, 1.0], [0.0, 0.4, 0.9], [0.1, 0.6, 1.0])],
        title="FG-ARI", x_label="T", at=(5, "training"),
    )  # fmt: skip
    assert plotted is not None
    tree = ElementTree.fromstring(f"<svg>{plotted.overlay}</svg>")
    upright = tree.find("line[@class='upright']")
    assert upright is not None
    bars = [path.get("d", "") for path in tree.iter("path") if path.get("class") == "series s0"]
    assert len(bars) == 3
    x, bottom, top = map(float, re.match(r"M([\d.]+) ([\d.]+)V([\d.]+)", bars[1]).groups())  # type: ignore[union-attr]
    assert x == float(upright.get("x1", "")) == plotted.frame.across(5)
    assert (bottom, top) == (plotted.frame.down(0.4), plotted.frame.down(0.6))
    tips = [title.text for title in tree.iter("title")]
    assert tips[1] == "T 5: here 0.5000 (0.4000 to 0.6000)"


def test_rows_are_in_order_from_the_top_and_have_space_for_their_names() -> None:
    names = ["all", "without a very long name indeed", "c"]
    plotted = rows_plot(names, [Series("", [0, 1, 2], [0.9, 0.5, 0.7], line=False)], title="t", x_label="FG-ARI")
    assert plotted is not None
    box = plotted.frame.fields()
    assert [label for _, label in sorted(box["rows"])] == names
    assert box["left"] > 6 * len(names[1]) and box["height"] > 3 * 15
    assert "without a very long name indeed" in figure(plotted)


def test_values_that_are_not_finite_are_omitted_and_without_values_there_is_no_chart() -> None:
    nan = float("nan")
    plotted = series_plot([Series("a", [1, 2, 3], [nan, 0.5, 0.7], [nan, nan, 0.6], [nan, 0.6, 0.8])], title="t", x_label="x")  # fmt: skip
    assert plotted is not None
    assert plotted.overlay.count('class="mark') == 3  # two points and the legend's
    assert series_plot([Series("a", [1.0], [nan])], title="t", x_label="x") is None
