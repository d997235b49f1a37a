"""The state of a training run, collected from the rows of its log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from iodine_kit.cli.text_charts import mean

_MOST_LOSSES = 512


class Score(NamedTuple):
    """FG-ARI of a validation, and the step after which it was computed."""

    value: float
    step: int


class TrainingProgress:
    """A run from step ``done`` to step ``total``; ``clock`` returns seconds.

    Attributes:
        step, row: the last step, and the last value of every key of the log.
        losses: at most 512 means over all losses so far, so that the curve of a run of any length is whole.
        last, best: FG-ARI of the last and of the best validation.
    """

    def __init__(self, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done, self.step = total, done, done
        self.row: Mapping[str, Any] = {}
        self.losses: list[float] = []
        self.last: Score | None = None
        self.best: Score | None = None
        self._clock, self._started = clock, clock()
        self._updated = self._started
        self._pending: list[float] = []
        self._stride = 1

    def update(self, step: int, row: Mapping[str, Any]) -> None:
        """Add a row of the log; one up to step ``done``, from before an interruption, only to losses and scores."""
        if step > self.done:
            self.step, self.row, self._updated = step, {**self.row, **row}, self._clock()
        self._add_loss(row.get("loss"))
        score = row.get("fg_ari")
        if isinstance(score, int | float):
            self.last = Score(float(score), step)
            if math.isfinite(score) and (self.best is None or score > self.best.value):
                self.best = self.last

    def elapsed(self) -> float:
        """Seconds since this process started."""
        return self._clock() - self._started

    def left(self) -> float | None:
        """Estimated remaining seconds: the row's estimate, or at the pace so far; ``None`` before the first row."""
        if self.step <= self.done:
            return None
        since = self._clock() - self._updated
        estimate = self.row.get("seconds_left")
        if not isinstance(estimate, int | float):
            estimate = (self._updated - self._started) / (self.step - self.done) * (self.total - self.step)
        return max(float(estimate) - since, 0.0)

    def _add_loss(self, loss: object) -> None:
        self._pending.append(float(loss) if isinstance(loss, int | float) else math.nan)
        if len(self._pending) < self._stride:
            return
        losses = [*self.losses, mean(self._pending)]
        self._pending = []
        if len(losses) >= _MOST_LOSSES:
            losses = [mean(losses[i : i + 2]) for i in range(0, len(losses), 2)]
            self._stride *= 2
        self.losses = losses  # at once: another thread may be drawing
