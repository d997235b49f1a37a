"""Typed facts write the JSON that commit 26dfc2b wrote, byte by byte, and its tables for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from iodine_kit.evaluation import comparison_tables, tables
from iodine_kit.evaluation.facts import ComparisonFacts, EvaluationFacts, ResultFacts
from iodine_kit.evaluation.probing.facts import ProbeFacts
from iodine_kit.evaluation.probing.tables import factor_table
from iodine_kit.tables import as_csv

RECORDED = Path(__file__).parents[2] / "data" / "recorded"
KINDS: dict[str, type[ResultFacts]] = {
    "evaluation": EvaluationFacts, "comparison": ComparisonFacts, "probe": ProbeFacts, "probe_by_loss": ProbeFacts,
}  # fmt: skip


def _recorded(name: str) -> str:
    return (RECORDED / name).read_text("utf-8")


@pytest.mark.parametrize("name", KINDS)
def test_recorded_facts_are_read_and_written_back_byte_by_byte(name: str) -> None:
    text = _recorded(f"{name}/summary.json")
    facts = KINDS[name].model_validate(json.loads(text))
    assert json.dumps(facts.as_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n" == text


def test_tables_for_programs_are_those_that_were_recorded() -> None:
    evaluation = EvaluationFacts.model_validate_json(_recorded("evaluation/summary.json"))
    comparison = ComparisonFacts.model_validate_json(_recorded("comparison/summary.json"))
    probe = ProbeFacts.model_validate_json(_recorded("probe/summary.json"))
    assert as_csv(tables.long_table(evaluation)) == _recorded("evaluation/summary.csv")
    assert as_csv(comparison_tables.long_table(comparison)) == _recorded("comparison/summary.csv")
    assert as_csv(factor_table(probe)) == _recorded("probe/table.csv")


def test_facts_are_frozen_and_refuse_unknown_fields() -> None:
    values = json.loads(_recorded("evaluation/summary.json"))
    facts = EvaluationFacts.model_validate(values)
    with pytest.raises(ValidationError, match="frozen"):
        facts.scenes = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="surplus"):
        EvaluationFacts.model_validate({**values, "surplus": 1})
