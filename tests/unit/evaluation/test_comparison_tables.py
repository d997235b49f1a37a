"""A p-value that so many flips of signs cannot be below is shown as a bound."""

from __future__ import annotations

import json
from pathlib import Path

from iodine_kit.evaluation.comparison_tables import p_of
from iodine_kit.evaluation.facts import ComparisonFacts

RECORDED = Path(__file__).parents[2] / "data" / "recorded" / "comparison" / "summary.json"


def test_the_smallest_possible_p_is_a_bound() -> None:
    facts = ComparisonFacts.model_validate(json.loads(RECORDED.read_text("utf-8")))
    facts = facts.model_copy(update={"test": facts.test.model_copy(update={"flips": 999})})
    one = facts.pairs[0].metrics["ari"]
    shown = [p_of(one.model_copy(update={"p": p}), facts) for p in (1 / 1000, 2 / 1000, None)]
    assert shown == ["≤ 0.0010", 0.002, None]
