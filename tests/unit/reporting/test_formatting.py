from __future__ import annotations

import pytest

from iodine_kit.reporting.formatting import number, setting, spread


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
