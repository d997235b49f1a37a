from __future__ import annotations

import pytest

from iodine_kit.formatting import (
    byte_size,
    counted,
    duration,
    estimated,
    interval,
    number,
    percent,
    setting,
    spread,
    value_range,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99234, "0.9923"), (1.0, "1.0000"), (-0.5, "−0.5000"), (0.0, "0.0000"), (4.123e-5, "4.12 × 10⁻⁵"),
        (12.345, "12.35"), (123.45, "123.5"), (-9100.4, "−9,100"), (3e12, "3.00 × 10¹²"),
        (float("nan"), "undefined"), (float("inf"), "∞"), (float("-inf"), "−∞"),
    ],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_spread_needs_both() -> None:
    nan = float("nan")
    assert spread(0.5, 0.25) == "0.5000 ± 0.2500"
    assert (spread(0.5, nan), spread(nan, nan)) == ("0.5000", "undefined")


def test_setting_is_one_line() -> None:
    assert [setting(v) for v in ("words", None, True, (1, 2), 3e-4)] == ["words", "null", "true", "[1, 2]", "0.0003"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (99_949_999, "99.9 MB"),
        (99_960_000, "100 MB"), (840e6, "840 MB"), (999.6e6, "1.0 GB"), (12.34e9, "12.3 GB"), (5e15, "5,000 TB"),
        (float("nan"), "–"),
    ],
)  # fmt: skip
def test_bytes_are_counted_in_powers_of_a_thousand(size: float, text: str) -> None:
    assert byte_size(size) == text


@pytest.mark.parametrize(
    ("mean", "sd", "ends", "text"),
    [
        (7.81e-4, 0.0011, None, "0.0008 ± 0.0011"),
        (0.1034, 9.16e-5, None, "0.1034 ± 0.0001"),
        (0.1034, 9.16e-6, None, "0.10340 ± 0.00001"),
        (0.1034, 1e-9, None, "0.103400 ± 0.000000"),
        (-6.63e-4, None, (-0.0021, 0.0005), "−0.0007 [−0.0021, 0.0005]"),
        (2211.4, 243.7, (2121.0, 2303.2), "2,211 ± 244 [2,121, 2,303]"),
        (9.98, None, (9.5, 10.4), "9.98 [9.50, 10.40]"),
        (7.8e-4, 1.1e-4, (0.0, 9e-4), "7.80 × 10⁻⁴ ± 1.10 × 10⁻⁴ [0.0000, 9.00 × 10⁻⁴]"),
        (2e9, 3e7, None, "2.00 × 10⁹ ± 3.00 × 10⁷"),
        (0.0, 0.0, (0.0, 0.0), "0.0000 ± 0.0000 [0.0000, 0.0000]"),
    ],
)
def test_the_numbers_of_a_cell_have_one_notation(
    mean: float, sd: float | None, ends: tuple[float, float] | None, text: str
) -> None:
    assert estimated(mean, ends, sd) == text


def test_an_interval_has_the_same_decimals_at_both_ends() -> None:
    assert interval((0.99, 0.994)) == "[0.9900, 0.9940]" and interval((9.5, 10.25)) == "[9.50, 10.25]"
    assert interval(None) == "–" and interval((float("nan"), 1.0)) == "[undefined, 1.0000]"


def test_a_mean_is_shown_with_what_is_known_of_it() -> None:
    assert estimated(0.9, (0.88, 0.92), 0.01) == "0.9000 ± 0.0100 [0.8800, 0.9200]"
    assert (estimated(0.9, None), estimated(None, (0.0, 1.0))) == ("0.9000", "–")


def test_shares_ranges_and_durations() -> None:
    assert [percent(v) for v in (0.0, 1e-5, 0.7551, float("nan"))] == ["0.0 %", "< 0.1 %", "75.5 %", "–"]
    assert (value_range(2, 5), value_range(3, 3)) == ("2 to 5", "3")
    assert [duration(v) for v in (751.4, 176400, None, -1)] == ["0:12:31", "2 days, 1:00:00", "–", "–"]


def test_a_count_of_one_is_singular() -> None:
    assert [counted(value, "step") for value in (0, 1, 2000)] == ["0 steps", "1 step", "2,000 steps"]
