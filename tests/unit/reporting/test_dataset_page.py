from __future__ import annotations

import math

import pytest
from unit.reporting.page_parser import PageParser

from iodine_kit.dataset_statistics import Distribution, Histogram
from iodine_kit.formatting import percent, short_number
from iodine_kit.reporting.charts import class_chart, count_chart
from iodine_kit.reporting.dataset_page.tables import spread


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.0, "4"), (3.524, "3.52"), (21.44, "21.4"), (1204.0, "1,204"), (-0.5, "−0.50"), (math.nan, "–"), (0.0, "0")],
)
def test_figures_have_as_many_digits_as_one_reads(value: float, text: str) -> None:
    assert short_number(value) == text


def test_a_small_share_is_not_shown_as_none() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.755, 1, math.nan)] == [
        "0.0 %",
        "< 0.1 %",
        "75.5 %",
        "100.0 %",
        "–",
    ]


def test_a_constant_has_no_deviation() -> None:
    assert spread(Distribution(n=3, mean=3.0, std=0.0)) == "3"
    assert spread(Distribution(n=3, mean=5.0, std=2.163)) == "5.00 ± 2.16"


def test_bars_of_whole_numbers_are_above_their_numbers() -> None:
    histogram = Histogram((2.0, 3.0, 4.0, 5.0), (87, 0, 1), whole=True)
    chart = PageParser(count_chart(histogram, title="Objects", x_label="", unit="scenes"))
    bars = [
        (float(bar["x"] or 0) + float(bar["width"] or 0) / 2, float(bar["height"] or 0)) for bar in chart.of("rect")
    ]
    ticks = {text["x"] for text in chart.of("text") if text["text-anchor"] == "middle"}
    assert chart.errors == [] and len(bars) == 2 and bars[0][1] > bars[1][1] >= 1.5
    assert {f"{middle:.1f}" for middle, _ in bars} <= {f"{float(x or 0):.1f}" for x in ticks}
    assert [text for text in chart.text if "scenes" in text][1:] == ["2: 87 scenes", "4: 1 scenes"]


def test_labels_above_bars_are_omitted_together() -> None:
    counts = (5, *[123_456] * 30)
    chart = count_chart(Histogram(tuple(map(float, range(32))), counts, whole=True), title="t", x_label="", unit="u")
    assert ">5<" not in chart and "0: 5 u" in chart
    assert count_chart(None, title="t", x_label="", unit="u") == ""


def test_bars_of_classes_are_proportional_and_their_names_are_escaped() -> None:
    chart = class_chart({"<disc>": 10, "a name that is much too long": 5, "none": 0}, title="kind", unit="objects")
    page = PageParser(chart)
    widths = [float(bar["width"] or 0) for bar in page.of("rect")]
    assert page.errors == [] and widths[0] == pytest.approx(2 * widths[1], abs=0.2) and widths[2] == 0
    assert "<disc>" in page.text and "a name that is much too long: 5 objects, 33.3 %" in page.text
    assert class_chart({"a": 0}, title="t", unit="u") == ""
