from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.reporting.page_parser import PageParser

from iodine_kit.reporting.charts import MOST_POINTS, histogram, line_chart, thin
from iodine_kit.reporting.charts.axes import HEIGHT, WIDTH, axis_over

NAN = float("nan")


def draw(values: list[float]) -> PageParser:
    return PageParser(line_chart(range(len(values)), values, title="Loss", x_label="step", unit="nats"))


def coordinates(chart: PageParser) -> list[list[tuple[float, float]]]:
    curves = [(curve["points"] or "").split() for curve in chart.of("polyline")]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in curve)] for curve in curves]


def test_the_curve_follows_the_values() -> None:
    (curve,) = coordinates(draw([1.0, 3.0, 2.0]))
    assert [x for x, _ in curve] == sorted(x for x, _ in curve)
    assert curve[1][1] < curve[2][1] < curve[0][1]  # y runs downwards


def test_without_finite_values_there_is_no_chart() -> None:
    for values in ([], [NAN], [math.inf, -math.inf, 1e308]):
        assert line_chart(range(len(values)), values, title="t", x_label="x") == ""
        assert histogram(values, title="t", x_label="x") == ""


def test_gaps_interrupt_the_curve_and_are_counted() -> None:
    chart = draw([1.0, 2.0, NAN, 3.0, math.inf, 4.0])
    assert [len(curve) for curve in coordinates(chart)] == [2, 2, 2]  # a lone point is drawn as a line to itself
    assert "2 values are not finite and not drawn." in chart.text


@pytest.mark.parametrize("value", [0.0, 0.5, -3e9, 1e-12, 1e299])
def test_a_constant_is_in_the_middle(value: float) -> None:
    chart = draw([value] * 3)
    assert chart.errors == []
    heights = {y for curve in coordinates(chart) for _, y in curve}
    assert len(heights) == 1
    assert 0.2 * HEIGHT < heights.pop() < 0.8 * HEIGHT


def test_a_wide_positive_range_has_a_logarithmic_axis_and_says_so() -> None:
    assert "nats, logarithmic" in draw([1000.0, 1.0, 10.0]).text
    assert "nats" in draw([1000.0, -1.0, 10.0]).text
    (curve,) = coordinates(draw([1.0, 10.0, 100.0, 1000.0]))
    gaps = np.diff([y for _, y in curve])
    assert np.ptp(gaps) <= 0.2


def test_thinning_keeps_extremes_and_order() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    values[[17, 4321]] = 99, -99
    kept = thin(np.arange(5000), values)
    assert len(kept) <= MOST_POINTS and kept == sorted(set(kept))
    assert {17, 4321} <= set(kept)
    assert max(b - a for a, b in pairwise(kept)) <= 50


def test_thinning_keeps_a_gap() -> None:
    values = np.ones(4000)
    values[1000:1100] = NAN
    (first, second) = coordinates(draw(values.tolist()))
    assert first[-1][0] < second[0][0]
    assert len(first) + len(second) <= MOST_POINTS


def test_histogram_counts_every_finite_score() -> None:
    chart = PageParser(histogram([0.0, 0.99, 1.0, 1.0, NAN, -0.3], title="FG-ARI", x_label="FG-ARI"))
    tips = [int(text.split(" in ")[0]) for text in chart.text if re.match(r"\d+ in ", text)]
    assert chart.errors == [] and sum(tips) == 5 and max(tips) == 3


def test_a_single_scene_has_a_visible_bar() -> None:
    chart = PageParser(histogram([0.1] + [0.9] * 9999, title="t", x_label="x"))
    assert min(float(bar["height"] or 0) for bar in chart.of("rect")) >= 1.5


@pytest.mark.parametrize("scores", [[5.0, 5.0], [1e-5, 2.0], [-40.0, 1e6]])
def test_histogram_of_other_ranges(scores: list[float]) -> None:
    bars = PageParser(histogram(scores, title="t", x_label="x")).of("rect")
    assert bars and all(0 <= float(bar["x"] or -1) <= WIDTH for bar in bars)


finite = st.floats(-1e299, 1e299)


@given(st.lists(finite, min_size=1, max_size=20), st.booleans(), st.booleans(), st.booleans())
def test_axis_holds_all_values_and_few_ticks(values: list[float], log: bool, whole: bool, round_ends: bool) -> None:
    values = [float(round(value)) for value in values] if whole else values
    axis = axis_over(np.array(values), log=log, whole=whole, round_ends=round_ends)
    assert all(-1e-6 <= axis.position(value) <= 1 + 1e-6 for value in values)
    assert len(axis.ticks) <= 13
    assert all(-1e-6 <= axis.position(tick) <= 1 + 1e-6 for tick, _ in axis.ticks)


def test_tick_labels_are_readable() -> None:
    def labels(*ends: float, **how: bool) -> list[str]:
        return [label for _, label in axis_over(np.array(ends), **how).ticks]

    assert labels(0, 5, whole=True) == ["0", "1", "2", "3", "4", "5"]
    assert labels(0, 1) == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    assert labels(-9100, 2350, round_ends=True) == ["−10k", "−5k", "0", "5k"]
    assert labels(0.01, 2000, log=True) == ["10⁻²", "10⁻¹", "10⁰", "10¹", "10²", "10³"]
    assert labels(0.001, 0.00100008) == ["0.00100000", "0.00100002", "0.00100004", "0.00100006", "0.00100008"]
