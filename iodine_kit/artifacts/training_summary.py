"""What came of a training run, from its files: figures for a line and for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iodine_kit.formatting import setting
from iodine_kit.store import Artifact
from iodine_kit.training.run_files import CURVES, METRICS, read_metrics

_LABELS = {
    "device": "Device",
    "threads": "CPU threads",
    "ranks": "Processes",
    "parameters": "Parameters",
    "seconds_per_step": "Seconds per step",
    "skipped_steps": "Steps skipped",
}


@dataclass(frozen=True)
class Outcome:
    """Figures of a run that came to its end; ``None`` for what it does not have.

    Attributes:
        steps: that it made; ``None`` if imported weights do not say.
        loss: of the last row of the log.
        fg_ari: (value, step) of the best validation.
        images_per_second: over the whole of the training that ended the run.
    """

    steps: int | None
    loss: float | None
    fg_ari: tuple[float, int] | None
    images_per_second: float | None


def outcome_of(run: Artifact) -> Outcome:
    """Read a run's log and facts."""
    rows = read_metrics(run.path / METRICS)
    seconds = run.facts.get("seconds_per_step")
    return Outcome(
        steps=run.facts["steps"],
        loss=rows[-1].get("loss") if rows else None,
        fg_ari=_best(rows),
        images_per_second=run.config["train"]["batch_size"] / seconds if seconds else None,
    )


def summary(run: Artifact) -> str:
    """One line: steps, last loss, best FG-ARI if it was validated, speed, and where the curves lie."""
    outcome = outcome_of(run)
    skipped = run.facts.get("skipped_steps")
    parts = [f"trained {outcome.steps:,} steps" + (f", of which {skipped:,} were skipped" if skipped else "")]
    parts += [f"last loss {outcome.loss:,.4g}"] if outcome.loss is not None else []
    parts += [f"best FG-ARI {outcome.fg_ari[0]:.4f} after step {outcome.fg_ari[1]:,}"] if outcome.fg_ari else []
    parts += [f"{outcome.images_per_second:,.0f} images/s"] if outcome.images_per_second else []
    parts += [f"curves in {run.path / CURVES}"] if (run.path / CURVES).exists() else []
    return ", ".join(parts)


def training_facts(run: Artifact) -> list[tuple[str, str]]:
    """(label, value) pairs for the report: how fast it was, and on what."""
    outcome, facts = outcome_of(run), run.facts
    pairs = [("Steps", f"{outcome.steps:,}")] if outcome.steps is not None else []
    if outcome.images_per_second:
        pairs.append(("Images per second", f"{outcome.images_per_second:,.1f}"))
    pairs += [(label, _word(facts[key])) for key, label in _LABELS.items() if facts.get(key)]
    if outcome.fg_ari:
        pairs.append(("Best validation FG-ARI", f"{outcome.fg_ari[0]:.4f} after step {outcome.fg_ari[1]:,}"))
    return pairs


def _best(rows: Sequence[Mapping[str, Any]]) -> tuple[float, int] | None:
    scores = [(row["fg_ari"], -row["step"]) for row in rows if isinstance(row.get("fg_ari"), int | float)]
    finite = [score for score in scores if math.isfinite(score[0])]
    value, negated = max(finite, default=(math.nan, 0))
    return (value, -negated) if finite else None


def _word(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else setting(value)
