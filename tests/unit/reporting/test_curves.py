from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from unit.reporting.page_parser import PageParser

from iodine_kit.reporting.charts import MOST_POINTS, family, figure
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.curves import curves_svg, training_plots
from iodine_kit.reporting.report_page import render_page

SVG = "{http://www.w3.org/2000/svg}"
NAN = math.nan


def log(rows: int, **more: Any) -> list[dict[str, Any]]:
    """A loss that falls by half, with all the columns that every run has."""
    return [
        {
            "step": 10 * i, "loss": 4.0 - 2 * i / rows, "nll": 3.0, "kl": 1.0, "nll_steps": [9.0, 6.0, 3.0 - i / rows],
            "kl_slots": [0.5, 0.5], "grad_norm": 2.0, "learning_rate": 1e-3, **more,
        }
        for i in range(1, rows + 1)
    ]  # fmt: skip


def titles(rows: list[dict[str, Any]]) -> list[str]:
    return [plot.title for plot in training_plots(rows)]


def parse(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def test_the_file_refers_to_no_other_file() -> None:
    picture = parse(curves_svg(log(50, fg_ari=0.5), "a <title> & more"))
    assert picture.tag == f"{SVG}svg"
    words = [text.text for text in picture.iter(f"{SVG}text")]
    panels = ("Loss", "KL divergence", "NLL per refinement step", "Validation FG-ARI", "Gradient norm", "Learning rate")
    for expected in ("a <title> & more", "50 rows of the training log; nothing is smoothed.", *panels):
        assert expected in words
    attributes = [name + (value or "") for element in picture.iter() for name, value in element.attrib.items()]
    assert not [text for text in attributes if "href" in text or "url(" in text or "var(" in text]


def test_every_panel_is_inside_the_picture() -> None:
    picture = parse(curves_svg(log(500, fg_ari=0.5, val_loss=3.0), "t"))
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    places = [re.findall(r"[\d.]+", g.attrib["transform"]) for g in picture.iter(f"{SVG}g")]
    assert (
        len({tuple(place) for place in places})
        == len(places)
        == len(training_plots(log(500, fg_ari=0.5, val_loss=3.0)))
    )
    assert all(float(x) + 420 <= width and float(y) + 220 <= height for x, y in places)


def test_same_rows_same_bytes() -> None:
    assert curves_svg(log(700), "t") == curves_svg(log(700), "t")


def test_every_log_gives_a_picture() -> None:
    nothing: list[dict[str, Any]] = [{"step": 1, "loss": NAN, "nll": None, "nll_steps": []}]
    for rows in ([], nothing):
        picture = parse(curves_svg(rows, "t"))
        assert "The training log has no finite value." in [text.text for text in picture.iter(f"{SVG}text")]
    assert "1 row of the training log" in curves_svg(log(1), "t")
    assert "NaN" not in curves_svg(log(1), "t") and "nan" not in curves_svg(log(1), "t")


def test_rows_of_older_runs_have_fewer_curves() -> None:
    old = [{"step": float(i), "loss": 2.0, "nll": 1.0, "kl": 1.0, "grad_norm": 1.0} for i in range(5)]
    assert titles(old) == ["Loss", "Negative log-likelihood", "KL divergence", "Gradient norm"]


def test_each_refinement_step_has_a_curve_from_pale_to_full() -> None:
    plot = next(plot for plot in training_plots(log(50)) if plot.title == "NLL per refinement step")
    opacities = [curve.opacity for curve in plot.curves]
    assert len(opacities) == 3 and opacities == sorted(set(opacities)) and opacities[-1] == 1
    heights = [curve.paths[0][-1][1] for curve in plot.curves]
    assert heights == sorted(heights)  # y runs downwards, and the last decode has the lowest NLL
    assert [text for *_, text in plot.names] == ["2", "refinement step 0"]


def test_missing_values_interrupt_only_their_own_curve() -> None:
    rows = log(9)
    rows[4]["nll_steps"] = [9.0, None, 3.0]
    rows[6]["nll_steps"] = [9.0]
    plot = next(plot for plot in training_plots(rows) if plot.title == "NLL per refinement step")
    assert [len(curve.paths) for curve in plot.curves] == [1, 3, 2]
    assert plot.note == "3 values are not finite and not drawn."


def test_the_second_half_of_a_converged_curve_is_drawn_again() -> None:
    steep = [{"step": i, "loss": 1000.0 * math.exp(-i / 10) - 5 + 0.1 * (i % 3)} for i in range(200)]
    assert titles(steep) == ["Loss", "Loss, second half"]
    assert titles([{"step": i, "loss": -float(i)} for i in range(200)]) == ["Loss"]
    assert titles(steep[:8]) == ["Loss"]


def test_scores_and_learning_rates_have_a_linear_axis() -> None:
    rows = [{"step": i, "fg_ari": 0.001 + i / 200, "learning_rate": 10.0 ** -(i / 20)} for i in range(100)]
    assert [plot.frame.vertical.log for plot in training_plots(rows)] == [False, False]


def test_a_nearly_constant_learning_rate_looks_constant() -> None:
    rows = [{"step": i, "learning_rate": 1e-3 - 1e-9 * i} for i in range(10)]
    (plot,) = training_plots(rows)
    assert plot.frame.vertical.low == 0
    assert len({y for _, y in plot.curves[0].paths[0]}) == 1


def test_long_logs_are_thinned_and_say_so() -> None:
    text = curves_svg(log(20_000), "t")
    assert "of each of 200 intervals the lowest and the highest value" in text
    assert max(len((line.attrib["points"]).split()) for line in parse(text).iter(f"{SVG}polyline")) <= MOST_POINTS
    assert len(text) < 200_000


@pytest.mark.parametrize("curves", [1, 2, 60])
def test_a_family_of_any_size_has_few_swatches(curves: int) -> None:
    plot = family(
        np.arange(3.0), np.arange(3.0 * curves).reshape(curves, 3), title="t", x_label="x", unit="", name="step"
    )
    assert plot is not None and len(plot.curves) == curves
    assert len(plot.swatches) == (0 if curves == 1 else min(curves, 12))
    parsed = PageParser(figure(plot))
    assert parsed.errors == [] and len(parsed.of("polyline")) == curves


def test_the_page_shows_the_refinement_steps_and_the_speed_of_training(context: ReportContext) -> None:
    facts = [("seconds per step", "0.0123"), ("device", "cpu")]
    page = PageParser(render_page(replace(context, training=log(40, fg_ari=0.25), training_facts=facts)))
    assert page.errors == []
    for expected in ("NLL per refinement step", "Validation FG-ARI", "refinement step 0", "seconds per step", "0.0123"):
        assert expected in page.text
