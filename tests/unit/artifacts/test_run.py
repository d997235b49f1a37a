from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iodine_kit.artifacts.run import result_line, result_rows, training_result
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.store.provenance import provenance
from iodine_kit.training.run_files import CURVES

FACTS = {"steps": 2000, "parameters": 1234, "device": "cpu", "threads": 2, "seconds_per_step": 0.05, "skipped_steps": 0}


def run_of(root: Path, rows: Sequence[dict[str, Any]], facts: dict[str, Any] = FACTS, curves: bool = True) -> Artifact:
    """A finished run with a log of these rows."""
    identity = Identity(kind="run", name="r", stage="train", version=1, config={"train": {"batch_size": 16}})
    with Store(root).draft(identity) as draft:
        (draft.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if curves:
            (draft.path / CURVES).write_text("<svg/>")
        return draft.commit(facts, provenance(datetime.now(UTC)))


def test_a_line_states_the_result_of_a_run(tmp_path: Path) -> None:
    rows = [
        {"step": 1000, "loss": 900.0, "fg_ari": 0.75},
        {"step": 1500, "loss": 850.0, "fg_ari": 0.9},
        {"step": 1800, "loss": 840.0, "fg_ari": 0.9},
        {"step": 2000, "loss": 812.25},
    ]
    run = run_of(tmp_path, rows)
    assert result_line(run) == (
        "trained 2,000 steps, last loss 812.2, best FG-ARI 0.9000 after step 1,500, 320 images/s, "
        f"curves in {run.path / 'curves.svg'}"
    )
    pairs = dict(result_rows(run))
    assert pairs["Images per second"] == "320.0" and pairs["Best validation FG-ARI"] == "0.9000 after step 1,500"
    assert pairs["Device"] == "cpu" and pairs["Parameters"] == "1,234" and "Steps skipped" not in pairs


def test_what_a_run_lacks_is_left_out(tmp_path: Path) -> None:
    old = run_of(tmp_path, [], {"steps": 10}, curves=False)
    assert result_line(old) == "trained 10 steps"
    assert result_line(run_of(tmp_path, [], {"steps": 1}, curves=False)) == "trained 1 step"
    assert result_rows(old) == [("Steps", "10")]


def test_a_score_that_is_not_finite_is_not_the_best(tmp_path: Path) -> None:
    assert training_result(run_of(tmp_path, [{"step": 5, "fg_ari": math.nan}, {"step": 6}])).best_fg_ari is None
