"""The training loop: when to step, look, log, validate, save and stop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from iodine_kit.errors import DivergedError, TimeLimitReached
from iodine_kit.progress import Reporter, Show
from iodine_kit.records import Bytes, SceneBatch
from iodine_kit.training.checkpoint import Checkpoints, decode, save_weights
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.distributed import ALONE, World
from iodine_kit.training.log import TrainingLog, row_of, save_incident, sayable
from iodine_kit.training.precision import computing, hint, prepare
from iodine_kit.training.resources import ELSEWHERE, Pace, enough_memory
from iodine_kit.training.run_files import CHECKPOINTS, METRICS, WEIGHTS, read_metrics
from iodine_kit.training.schedule import divide, learning_rate
from iodine_kit.training.signals import StopRequest
from iodine_kit.training.state import TrainingState
from iodine_kit.training.step import Pending, Reading, Update, look

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Moment:
    """The end of a step, the same on all ranks."""

    logging: bool
    validating: bool
    saving: bool
    signalled: bool
    timed: bool

    @property
    def looking(self) -> bool:
        """Whether the host has to wait for what the device has to tell."""
        return self.logging or self.saving


def after(
    step: int, config: TrainConfig, execution: TrainExecution, validates: bool, stop: StopRequest, world: World
) -> Moment:
    """What is due after ``step`` steps. If one rank is to stop all do, after the same step: they ask at every one."""
    last = step >= config.steps

    def due(every: int) -> bool:
        return every > 0 and (last or step % every == 0)

    validating = validates and due(config.validate_every)
    logging, saving = validating or due(config.log_every), due(execution.checkpoint_every)
    stopping = not last and world.any(stop.signalled or stop.out_of_time)
    signalled = stopping and world.any(stop.signalled)
    return Moment(logging, validating, saving or stopping, signalled, timed=stopping and not signalled)


@dataclass(frozen=True)
class Validated:
    """Figures, and what there is to see.

    Attributes:
        figures: for the log: ``fg_ari`` and ``val_loss``, or what else there is.
        picture: makes ``uint8[H, W, 3]`` of scenes and their masks, for TensorBoard.
    """

    figures: Mapping[str, float]
    picture: Callable[[], Bytes] | None = None


Validate = Callable[["nn.Module", int], Validated]
"""Called with a frozen copy of the model and the step."""


class Batches(Protocol):
    """Where batches come from; see :class:`iodine_kit.loader.ShuffledBatches`."""

    def prefetched(self, start: int, stop: int) -> Any:
        """Iterate over the batches of steps ``start`` to ``stop - 1``, on each rank over its own part of them."""

    def whole(self, step: int) -> SceneBatch:
        """The batch of a step with all its parts."""


class Trainer:
    """Trains ``model`` in ``directory``, going on from the newest checkpoint that lies there, if any.

    Raises:
        ConfigError: if the batch does not divide, or the device is not there.
        ArtifactCorruptError: if there are checkpoints and all are damaged.
        ResumeError: if the checkpoint is another run's, as ``settings`` tells.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        execution: TrainExecution,
        directory: Path,
        reporter: Reporter,
        world: World = ALONE,
        validate: Validate | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        estimate: Callable[[], str] = str,
    ) -> None:
        self.config, self.execution, self.directory = config, execution, directory
        self.reporter, self.world, self._validate, self._estimate = reporter, world, validate, estimate
        self.device = world.device_for(execution.device, execution.threads)
        parts = divide(*world.part(config.batch_size), config.batch_size, execution.accumulate)
        self._checkpoints = Checkpoints(directory, execution.keep)
        with enough_memory(f"putting the model on {self.device}", ELSEWHERE, estimate):
            world.copy(model.to(self.device).state_dict().values())
            prepare(model, config, execution, self.device)
            if better := hint(config, self.device):
                reporter.note(better)
            if execution.compile == "on":
                reporter.note("the first step is compiled, which takes a minute or more")
            self.state = TrainingState(model, config, settings or {})
            self._mirror = copy.deepcopy(model).eval().requires_grad_(False) if validate and world.first else None
            self._take_up_checkpoint()
        self._update = Update(self.state, config, parts, world)
        self._pending: list[Pending] = []
        self._skipped = int(self.state.guard.skipped)

    def _take_up_checkpoint(self) -> None:
        data, found = self._checkpoints.newest(self.reporter.note) if self.world.first else (b"", None)
        data = self.world.share(data)
        if data:
            self.state.restore(found or decode(data, self.directory / CHECKPOINTS))
            self.reporter.note(f"resuming after step {self.step}")

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    def run(self, batches: Batches) -> dict[str, Any]:
        """Train to the last step; leaves weights and log in the directory and returns facts.

        Raises:
            DivergedError: at a loss or gradient norm that is not finite, once ``skip_nonfinite`` are over.
            MemoryLimitError: if memory runs out.
            TimeLimitReached, KeyboardInterrupt: after saving a checkpoint.
        """
        pace = Pace(self.step, self.config.steps, self.config.batch_size, self.device)
        log = self._open_log() if self.world.first else None
        try:
            with computing(self.config, self.execution), StopRequest(self.execution.max_seconds) as stop:
                self._steps(batches, log, pace, stop)
        finally:
            if log:
                log.close()
        best = self.state.best
        if self.world.first:
            save_weights(self.directory / WEIGHTS, best.weights or self.state.weights())
        return {
            "steps": self.step,
            "parameters": sum(p.numel() for p in self.state.model.parameters() if p.requires_grad),
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "ranks": self.world.size,
            **pace.facts(self.step),
            "skipped_steps": self._skipped,
            "weights": {"step": best.facts["step"] if best.weights else self.step, "ema": self.config.ema},
            "best": best.facts,
        }

    def _open_log(self) -> TrainingLog:
        return TrainingLog(self.directory, self.step, self.execution.tensorboard, self.reporter.note)

    def _steps(self, batches: Batches, log: TrainingLog | None, pace: Pace, stop: StopRequest) -> None:
        doing = f"training on batches of {self.config.batch_size} images"
        with self.reporter.watch(self.config.steps, self.step) as show:
            for row in read_metrics(self.directory / METRICS):  # before an interruption
                show(row["step"], row)
            for batch in batches.prefetched(self.step, self.config.steps):
                with enough_memory(doing, estimate=self._estimate):
                    self._pending.append(self._update(batch.image))
                moment = after(self.step, self.config, self.execution, self._validate is not None, stop, self.world)
                if moment.looking:
                    reading = self._look(batches, log)
                    figures = self._validated(log) if moment.validating else {}
                    if moment.logging and log:
                        self._log({**self._row(reading), **figures}, log, show, pace)
                if moment.saving:
                    self._save(log)
                self._stop(moment)

    def _look(self, batches: Batches, log: TrainingLog | None) -> Reading:
        """The newest reading; deals with all that were not finite since the last look."""
        readings, self._pending = look(self._pending), []
        for reading in readings:
            if not reading.finite:
                self._skip(reading, batches, log)
        return readings[-1]

    def _skip(self, reading: Reading, batches: Batches, log: TrainingLog | None) -> None:
        batch, path = batches.whole(reading.step - 1), self.directory
        if self.world.first:
            path = save_incident(self.directory, reading, batch, self.config.seed)
        keys = ", ".join(batch.keys[:4]) + (", …" if len(batch.keys) > 4 else "")
        what = f"loss {reading.loss:g}, gradient norm {reading.grad_norm:g}, scenes {keys}, saved in {path}"
        self._skipped += 1
        if self._skipped <= self.config.skip_nonfinite:
            self.reporter.note(f"note: step {reading.step} skipped: {what}")
            return
        kept = self._save_before(reading.step, log)
        self.world.barrier()
        raise DivergedError(
            f"training diverged at step {reading.step}: {what}; {kept}; "
            "try a smaller train.learning_rate, a smaller train.clip_norm or train.warmup_steps"
        )

    def _save_before(self, step: int, log: TrainingLog | None) -> str:
        """Save the state before a step that was not made, which the guard has held; say what there is to go on from."""
        latest, parameters = self._checkpoints.latest, self.state.model.parameters()
        if latest and not all(parameter.isfinite().all() for parameter in parameters):
            return f"its weights are not finite, the newest checkpoint is {latest}"  # nothing could go on from them
        self.state.guard.forgive()
        self.state.step = step - 1
        self._save(log)
        return f"the state after step {self.step} is saved for --resume"

    def _validated(self, log: TrainingLog | None) -> Mapping[str, float]:
        """Figures of the weights as they are now; the model that is being trained takes no part. One rank does it."""
        if self._mirror is None or self._validate is None or log is None:
            return {}
        weights = self.state.weights()
        self._mirror.load_state_dict(weights)
        for mine, theirs in zip(self._mirror.buffers(), self.state.model.buffers(), strict=True):
            mine.copy_(theirs)  # β is a buffer that the state does not hold
        with enough_memory("validating", "lower train.batch_size"):
            validated = self._validate(self._mirror, self.step)
        figures = sayable(validated.figures)
        self.state.best.offer(self.step, figures, weights)
        if validated.picture:
            log.picture(self.step, "validation", validated.picture)
        return figures

    def _row(self, reading: Reading) -> dict[str, Any]:
        row = row_of(reading, learning_rate(self.config, self.step - 1))
        if self.state.geco:
            row["geco_multiplier"] = reading.multiplier
        if self.config.kl_schedule != "constant":
            row["kl_weight"] = float(self.state.model.beta)  # type: ignore[arg-type]
        if self.config.skip_nonfinite:
            row["skipped"] = self._skipped
        return row

    def _log(self, row: Mapping[str, Any], log: TrainingLog, show: Show, pace: Pace) -> None:
        row, speed = sayable(row), pace.figures(self.step)
        log.row(row, speed)
        show(self.step, {**row, **speed})

    def _save(self, log: TrainingLog | None) -> None:
        if not self.world.first:
            return
        if log:
            log.flush()  # before the checkpoint: rows too many are dropped on resuming, missing ones would stay missing
        self._checkpoints.save(self.step, self.state.checkpoint())

    def _stop(self, moment: Moment) -> None:
        if moment.signalled or moment.timed:
            self.world.barrier()  # the first rank has saved: as soon as one has ended, torchrun ends all
        if moment.signalled:
            raise KeyboardInterrupt(f"stopped after step {self.step}; go on with --resume")
        if moment.timed:
            raise TimeLimitReached(
                f"time limit reached after step {self.step} of {self.config.steps}; go on with --resume"
            )
