from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iodine_kit.artifacts.training_summary import outcome_of, summary, training_facts
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


def test_a_line_says_what_came_of_a_run(tmp_path: Path) -> None:
    rows = [
        {"step": 1000, "loss": 900.0, "fg_ari": 0.75},
        {"step": 1500, "loss": 850.0, "fg_ari": 0.9},
        {"step": 1800, "loss": 840.0, "fg_ari": 0.9},
        {"step": 2000, "loss": 812.25},
    ]
    run = run_of(tmp_path, rows)
    assert summary(run) == (
        "trained 2,000 steps, last loss 812.2, best FG-ARI 0.9000 after step 1,500, 320 images/s, "
        f"curves in {run.path / 'curves.svg'}"
    )
    pairs = dict(training_facts(run))
    assert pairs["Images per second"] == "320.0" and pairs["Best validation FG-ARI"] == "0.9000 after step 1,500"
    assert pairs["Device"] == "cpu" and pairs["Parameters"] == "1,234" and "Steps skipped" not in pairs


def test_what_a_run_lacks_is_left_out(tmp_path: Path) -> None:
    old = run_of(tmp_path, [], {"steps": 10}, curves=False)
    assert summary(old) == "trained 10 steps"
    assert training_facts(old) == [("Steps", "10")]


def test_a_score_that_is_not_finite_is_not_the_best(tmp_path: Path) -> None:
    assert outcome_of(run_of(tmp_path, [{"step": 5, "fg_ari": math.nan}, {"step": 6}])).fg_ari is None
