"""How the numbers of a probe are shown."""

from __future__ import annotations

import pytest

from iodine_kit.evaluation.probing.facts import ProbeFacts
from iodine_kit.evaluation.probing.tables import brief_table, dci_line, factor_table, slot_table, use_table


def fitted(score: float, interval: tuple[float, float] | None) -> dict[str, object]:
    return {"score": score, "interval": interval}


FACTS = ProbeFacts.model_validate({
    "dataset": "blocks", "split": "test", "scenes": 40, "folds": 5, "seed": 0,
    "bootstrap": {"resamples": 2000, "level": 0.95, "seed": 0, "method": "bootstrap"},
    "objects": 1234, "unmatched": 0, "latents": 8, "matching": "mask",
    "factors": {
        "x": {"kind": "number", "score": "r2", "n": 1234, "baseline": -0.0004,
              "linear": fitted(0.93456, (0.9, 0.95)), "mlp": fitted(-0.126, (-0.204, 0.031))},
        "kind": {"kind": "class", "score": "accuracy", "n": 1234, "classes": 4, "baseline": 0.25,
                 "linear": fitted(0.5, None), "mlp": fitted(1.0, (1.0, 1.0))},
    },
    "dci": {"model": "forest", "disentanglement": None, "completeness": 0.25,
            "informativeness": {"x": 0.5, "kind": 0.75}, "importance": [[1.0, 0.0]], "factors": ["x", "kind"]},
    "slots": {"active_mean": 1.5, "telling_mean": 1.0, "active_counts": {"1": 20, "2": 20},
              "telling_counts": {"1": 40}, "kl_per_slot": [4.0, 0.5], "owned_share": [0.75, 0.25]},
    "left_out": {"still": "it has the same value for all objects"}, "conventions": {"folds": "5 folds of scenes"},
})  # fmt: skip


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (0, ("x", "R²", 1234, -0.0004, "0.9346 [0.9000, 0.9500]", "−0.1260 [−0.2040, 0.0310]")),
        (1, ("kind", "accuracy", 1234, 0.25, "0.5000", "1.0000 [1.0000, 1.0000]")),
    ],
)
def test_in_the_brief_table_a_score_and_its_interval_share_a_cell(row: int, cells: tuple[object, ...]) -> None:
    assert brief_table(FACTS).rows[row] == cells


def test_nothing_is_lost_in_the_table_for_files() -> None:
    table = factor_table(FACTS)
    assert table.rows[0] == ("x", "R²", 1234, -0.0004, 0.93456, (0.9, 0.95), -0.126, (-0.204, 0.031), 0.5)
    assert table.caption == "blocks test, 40 scenes, 1,234 objects, slots matched by mask, 5 folds"
    assert table.notes == ["folds: 5 folds of scenes", "still is omitted: it has the same value for all objects"]


def test_undefined_values_are_named_and_scenes_are_counted_by_slots_in_use() -> None:
    assert dci_line(FACTS) == "DCI: disentanglement undefined, completeness 0.2500"
    assert use_table(FACTS).rows == [("1", 20, 40), ("2", 20, 0)]
    assert slot_table(FACTS).rows == [("1", 4.0, 0.75), ("2", 0.5, 0.25)]
