"""How a probe's figures are written."""

from __future__ import annotations

import pytest

from iodine_kit.evaluation.probing.tables import brief_table, dci_line, factor_table, slot_table, use_table


def figures(score: float, interval: list[float] | None) -> dict[str, object]:
    return {"score": score, "interval": interval}


FACTS = {
    "dataset": "blocks", "split": "test", "scenes": 40, "objects": 1234, "matching": "mask", "folds": 5,
    "factors": {
        "x": {"score": "r2", "n": 1234, "baseline": -0.0004, "linear": figures(0.93456, [0.9, 0.95]),
              "mlp": figures(-0.126, [-0.204, 0.031])},
        "kind": {"score": "accuracy", "n": 1234, "baseline": 0.25, "linear": figures(0.5, None),
                 "mlp": figures(1.0, [1.0, 1.0])},
    },
    "dci": {"disentanglement": None, "completeness": 0.25, "informativeness": {"x": 0.5, "kind": 0.75}},
    "slots": {"active_mean": 1.5, "telling_mean": 1.0, "active_counts": {"1": 20, "2": 20},
              "telling_counts": {"1": 40}, "kl_per_slot": [4.0, 0.5], "owned_share": [0.75, 0.25]},
    "left_out": {"still": "it has the same value for all objects"}, "conventions": {"folds": "5 folds of scenes"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (0, ("x", "R²", "0.00", "0.935 [0.900, 0.950]", "−0.13 [−0.20, 0.03]")),
        (1, ("kind", "acc.", "0.250", "0.500", "1.000 [1.000, 1.000]")),
    ],
)
def test_on_terminals_a_figure_and_its_interval_share_a_cell(row: int, cells: tuple[str, ...]) -> None:
    assert brief_table(FACTS).rows[row] == cells


def test_nothing_is_lost_in_the_table_for_files() -> None:
    table = factor_table(FACTS)
    assert table.rows[0] == ("x", "R²", 1234, -0.0004, 0.93456, (0.9, 0.95), -0.126, (-0.204, 0.031), 0.5)
    assert table.caption == "blocks test, 40 scenes, 1,234 objects, slots matched by mask, 5 folds"
    assert table.notes == ["folds: 5 folds of scenes", "still is left out: it has the same value for all objects"]


def test_what_is_undefined_is_said_and_scenes_are_counted_by_slots_in_use() -> None:
    assert dci_line(FACTS) == "DCI: disentanglement undefined, completeness 0.2500"
    assert use_table(FACTS).rows == [("1", 20, 40), ("2", 20, 0)]
    assert slot_table(FACTS).rows == [("1", 4.0, 0.75), ("2", 0.5, 0.25)]
