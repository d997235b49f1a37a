"""A p that so many flips cannot be below is told as a bound."""

from __future__ import annotations

from iodine_kit.evaluation.comparison_tables import p_of


def test_p_at_its_floor_is_a_bound() -> None:
    facts = {"test": {"flips": 999}}
    assert p_of({"p": 1 / 1000}, facts) == "≤ 0.0010"
    assert p_of({"p": 2 / 1000}, facts) == 0.002
    assert p_of({"p": None}, facts) is None
