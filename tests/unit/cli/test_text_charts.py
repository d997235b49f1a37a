from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.cli.text_charts import bar, floats, number, number_column, shares, sparkline

NAN, INF = math.nan, math.inf
anything = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [(8123.44, "8,123.4"), (23.456, "23.46"), (0.9123, "0.9123"), (-41.0, "-41.00"),
     (3e-4, "3.00e-04"), (0.0, "0.0000"), (1e12, "1.00e+12"), (7, "7"), (NAN, "nan"), (-INF, "-inf"),
     (None, "–"), ("x", "–"), ([1.0], "–")],
)  # fmt: skip
def test_numbers_are_short_and_never_hide_what_is_not_finite(value: object, text: str) -> None:
    assert number(value) == text


def test_numbers_of_a_column_have_the_decimals_of_the_largest() -> None:
    assert number_column([1234.5, 2.25, NAN]) == ["1,234.5", "2.2", "nan"]
    assert number_column([NAN]) == ["nan"]


def test_numbers_of_a_list_that_may_be_missing() -> None:
    assert floats(None) == floats("12") == floats(3.0) == []
    assert str(floats([1, 2.5, None])) == "[1.0, 2.5, nan]"


def test_shares_are_between_the_smallest_and_the_largest() -> None:
    assert shares([-4.0, 0.0, 4.0]) == [0.0, 0.5, 1.0]
    assert shares([1.0, 4.0], base=0.0) == [0.25, 1.0]
    assert shares([3.0, 3.0]) == [0.0, 0.0]
    assert shares([]) == []


@given(st.lists(anything, max_size=300), st.integers(1, 80), st.booleans())
def test_sparklines_of_anything_fit(values: list[float], width: int, ascii_only: bool) -> None:
    line = sparkline(values, width, ascii_only=ascii_only)
    assert len(line) == min(width, len(values))
    assert line.isascii() or not ascii_only


@given(st.lists(anything, min_size=1, max_size=20), st.integers(1, 80), st.booleans())
def test_bars_of_anything_fit(values: list[float], width: int, ascii_only: bool) -> None:
    for value, share in zip(values, shares(values), strict=True):
        drawn = bar(share, width, ascii_only=ascii_only)
        assert len(drawn) <= width
        assert bool(drawn) == math.isfinite(value)


def test_sparkline_rises_and_falls_with_the_values() -> None:
    assert sparkline([0.0, 7.0, 0.0], 9) == "▁█▁"
    assert sparkline([1.0, 10.0, 100.0], 9) == "▁▅█"  # by logarithm: the middle value is drawn in the middle
    assert sparkline([1.0, NAN, 2.0], 9) == "▁×█"
    assert sparkline([0.0, 0.0, 5.0, 5.0], 2) == "▁█"


def test_bar_is_as_long_as_its_share() -> None:
    assert [bar(share, 4) for share in (1.0, 0.5, 0.0)] == ["████", "██", "▏"]
    assert bar(0.5, 4, ascii_only=True) == "##"
