"""A training run: its facts, typed, and its result as one line for a terminal and as pairs for a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from iodine_kit.formatting import counted, setting
from iodine_kit.store import Artifact, ArtifactFacts
from iodine_kit.training.run_files import CURVES, METRICS, read_metrics

_LABELS = {
    "device": "Device",
    "threads": "CPU threads",
    "ranks": "Processes",
    "parameters": "Parameters",
    "seconds_per_step": "Seconds per step",
    "skipped_steps": "Steps skipped",
}


class WeightsFacts(ArtifactFacts):
    """The step after which a run's weights were taken, and the decay of their moving average, if they are one."""

    step: int | None = None
    ema: float | None = None


class StartFacts(ArtifactFacts):
    """Where a warm start took its weights from: the place, the file's sha256 and, of a checkpoint, its step."""

    place: str = Field(alias="from")
    sha256: str
    step: int | None = None


class RunFacts(ArtifactFacts):
    """Facts of a run.

    Attributes:
        steps: of training; ``None`` if imported weights do not say.
        parameters: of the model, counted in numbers.
        device, threads, ranks: where it was trained.
        seconds_per_step: mean over the last process that trained; ``None`` if it made no step.
        skipped_steps: steps whose loss or gradient was not finite.
        weights: which weights were kept.
        best: metrics of the best validation.
        scenes, validation_scenes: of the data set that were used.
        start: of a warm start.
        dataset, preset, checkpoint: of imported weights: the data set they are for, their network, and their file.
    """

    steps: int | None
    parameters: int = 0
    device: str = ""
    threads: int | None = None
    ranks: int | None = None
    seconds_per_step: float | None = None
    skipped_steps: int = 0
    weights: WeightsFacts = WeightsFacts()
    best: dict[str, Any] = {}
    scenes: int = 0
    validation_scenes: int = 0
    start: StartFacts | None = None
    dataset: str = ""
    preset: str = ""
    checkpoint: str = ""


@dataclass(frozen=True)
class TrainingResult:
    """Numbers of a finished run; ``None`` for what it does not have.

    Attributes:
        steps: of training; ``None`` if imported weights do not say.
        loss: in the last row of the log.
        best_fg_ari: FG-ARI of the best validation, and its step.
        images_per_second: mean over the last process that trained.
    """

    steps: int | None
    loss: float | None
    best_fg_ari: tuple[float, int] | None
    images_per_second: float | None


def training_result(run: Artifact) -> TrainingResult:
    """Read a run's log and facts."""
    rows, facts = read_metrics(run.path / METRICS), RunFacts.of(run)
    seconds = facts.seconds_per_step
    return TrainingResult(
        steps=facts.steps,
        loss=rows[-1].get("loss") if rows else None,
        best_fg_ari=_best_fg_ari(rows),
        images_per_second=run.config["train"]["batch_size"] / seconds if seconds else None,
    )


def result_line(run: Artifact) -> str:
    """One line: steps, last loss, best FG-ARI if it was validated, speed, and where the curves are."""
    result, skipped = training_result(run), RunFacts.of(run).skipped_steps
    parts = [
        f"trained {counted(result.steps or 0, 'step')}" + (f", of which {skipped:,} were skipped" if skipped else "")
    ]
    parts += [f"last loss {result.loss:,.4g}"] if result.loss is not None else []
    if result.best_fg_ari:
        parts.append(f"best FG-ARI {result.best_fg_ari[0]:.4f} after step {result.best_fg_ari[1]:,}")
    parts += [f"{result.images_per_second:,.0f} images/s"] if result.images_per_second else []
    parts += [f"curves in {run.path / CURVES}"] if (run.path / CURVES).exists() else []
    return ", ".join(parts)


def result_rows(run: Artifact) -> list[tuple[str, str]]:
    """(label, value) pairs for a report: how many steps, how fast, and on what."""
    result, facts = training_result(run), run.facts
    rows = [("Steps", f"{result.steps:,}")] if result.steps is not None else []
    if result.images_per_second:
        rows.append(("Images per second", f"{result.images_per_second:,.1f}"))
    rows += [(label, _as_text(facts[key])) for key, label in _LABELS.items() if facts.get(key)]
    if result.best_fg_ari:
        rows.append(("Best validation FG-ARI", f"{result.best_fg_ari[0]:.4f} after step {result.best_fg_ari[1]:,}"))
    return rows


def _best_fg_ari(rows: Sequence[Mapping[str, Any]]) -> tuple[float, int] | None:
    scores = [(row["fg_ari"], -row["step"]) for row in rows if isinstance(row.get("fg_ari"), int | float)]
    finite = [score for score in scores if math.isfinite(score[0])]
    value, negated = max(finite, default=(math.nan, 0))
    return (value, -negated) if finite else None


def _as_text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else setting(value)
