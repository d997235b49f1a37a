"""The training loop: make steps; fetch metrics, log, validate, save and stop when it is due."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from iodine_kit.errors import DivergedError, TimeLimitReached
from iodine_kit.process import StopRequest
from iodine_kit.progress import Reporter, Show
from iodine_kit.records import Bytes, SceneBatch
from iodine_kit.training.checkpoint import CheckpointManager, decode, save_weights
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.distributed import SINGLE_PROCESS, World
from iodine_kit.training.resources import (
    FREE_DEVICE,
    Throughput,
    configure_model,
    enough_memory,
    numerics,
    precision_hint,
)
from iodine_kit.training.run_files import (
    CHECKPOINTS,
    METRICS,
    WEIGHTS,
    TrainingLog,
    dump_nonfinite_batch,
    log_row,
    loggable,
    read_metrics,
)
from iodine_kit.training.schedule import StepActions, actions_after, learning_rate, split_batch
from iodine_kit.training.state import TrainingState
from iodine_kit.training.step import DeviceMetrics, StepMetrics, TrainingStep, fetch_metrics


@dataclass(frozen=True)
class ValidationResult:
    """The result of a validation.

    Attributes:
        metrics: for the log: ``fg_ari``, ``val_loss``, or others.
        picture: makes a picture of scenes and their masks, ``uint8[H, W, 3]``, for TensorBoard.
    """

    metrics: Mapping[str, float]
    picture: Callable[[], Bytes] | None = None


Validate = Callable[[nn.Module, int], ValidationResult]
"""Called with a frozen copy of the model and the step."""


class Batches(Protocol):
    """Where batches come from; see :class:`iodine_kit.loader.ShuffledBatches`."""

    def prefetched(self, start: int, stop: int) -> Any:
        """Iterate over the batches of steps ``start`` to ``stop - 1``; each rank gets its own share of them."""

    def whole(self, step: int) -> SceneBatch:
        """Return the whole batch of a step."""


class Trainer:
    """Trains ``model`` in ``directory``. Call :meth:`restore` once, then :meth:`run`.

    Args:
        settings: tables of the run's configuration, by which a checkpoint of another run is recognised.
        estimate: returns a sentence on the memory that a step needs, for the error if memory runs out.
    """

    state: TrainingState
    """Set by :meth:`restore`."""

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        execution: TrainExecution,
        directory: Path,
        reporter: Reporter,
        world: World = SINGLE_PROCESS,
        *,
        settings: Mapping[str, Any] | None = None,
        estimate: Callable[[], str] = str,
    ) -> None:
        self.model, self.config, self.execution, self.directory = model, config, execution, directory
        self.reporter, self.world = reporter, world
        self._settings, self._estimate = settings or {}, estimate
        self._checkpoints = CheckpointManager(directory, execution.keep)
        self._log: TrainingLog | None = None
        self._validation: _Validation | None = None
        self._pending: list[DeviceMetrics] = []
        self._skipped = 0

    @property
    def step(self) -> int:
        """Number of finished steps."""
        return self.state.step

    def restore(self) -> None:
        """Move the model to the device, and continue from the newest checkpoint in the directory, if there is one.

        Raises:
            ConfigError: if the batch does not divide, or the device cannot be used.
            ArtifactCorruptError: if there are checkpoints and all are damaged.
            ResumeError: if the checkpoint belongs to another run.
            MemoryLimitError: if the device has not enough memory for the model.
        """
        model, config, execution = self.model, self.config, self.execution
        device = self.world.device_for(execution.device, execution.threads)
        microbatches = split_batch(*self.world.local_batch(config.batch_size), config.batch_size, execution.accumulate)
        with enough_memory(f"putting the model on {device}", FREE_DEVICE, self._estimate):
            self.world.broadcast(model.to(device).state_dict().values())
            configure_model(model, config, execution, device)
            if hint := precision_hint(config, device):
                self.reporter.note(hint)
            if execution.compile == "on":
                self.reporter.note("the first step is compiled, which takes a minute or more")
            self.state = TrainingState(model, config, self._settings)
            self._load_checkpoint()
        self._make_step = TrainingStep(self.state, config, microbatches, self.world)
        self._skipped = int(self.state.guard.skipped)
        self._device = device

    def _load_checkpoint(self) -> None:
        data, checkpoint = self._checkpoints.newest(self.reporter.note) if self.world.first else (b"", None)
        data = self.world.share(data)
        if data:
            self.state.restore(checkpoint or decode(data, self.directory / CHECKPOINTS))
            self.reporter.note(f"resuming after step {self.step}")

    def run(self, batches: Batches, validate: Validate | None = None) -> dict[str, Any]:
        """Train to the last step; leave weights and log in the directory, and return facts.

        Raises:
            DivergedError: at a loss or gradient norm that is not finite, beyond the ``skip_nonfinite`` allowed ones.
            MemoryLimitError: if memory runs out.
            TimeLimitReached, KeyboardInterrupt: after saving a checkpoint.
        """
        throughput = Throughput(self.step, self.config.steps, self.config.batch_size, self._device)
        try:
            if self.world.first:
                self._log = TrainingLog(
                    self.directory, self.step, self.execution.tensorboard, self.reporter.note, self.state.saved_log
                )
                self._validation = _Validation(validate, self.state, self._estimate) if validate else None
            with numerics(self.config, self.execution), StopRequest(self.execution.max_seconds) as stop:
                self._run_steps(batches, validate is not None, throughput, stop)
        finally:
            if self._log:
                self._log.close()
        best = self.state.best
        if self.world.first:
            save_weights(self.directory / WEIGHTS, best.weights or self.state.weights())
        return {
            "steps": self.step,
            "parameters": sum(p.numel() for p in self.state.model.parameters() if p.requires_grad),
            "device": torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "ranks": self.world.size,
            **throughput.facts(self.step),
            "skipped_steps": self._skipped,
            "weights": {"step": best.facts["step"] if best.weights else self.step, "ema": self.config.ema},
            "best": best.facts,
        }

    def _run_steps(self, batches: Batches, validates: bool, throughput: Throughput, stop: StopRequest) -> None:
        doing = f"training on batches of {self.config.batch_size} images"
        with self.reporter.watch(self.config.steps, self.step) as show:
            for row in read_metrics(self.directory / METRICS):  # those before an interruption
                show(row["step"], row)
            for batch in batches.prefetched(self.step, self.config.steps):
                with enough_memory(doing, estimate=self._estimate):
                    self._pending.append(self._make_step(batch.image))
                actions = actions_after(self.step, self.config, self.execution, validates, stop, self.world)
                if actions.fetch:
                    metrics = self._fetch(batches)
                    if self._log and actions.log:
                        self._write_row(metrics, self._log, actions.validate, show, throughput)
                if actions.save:
                    self._save()
                self._stop(actions)

    def _fetch(self, batches: Batches) -> StepMetrics:
        """Fetch the metrics since the last time, handle the steps that were not finite, and return the newest."""
        fetched, self._pending = fetch_metrics(self._pending), []
        for metrics in fetched:
            if not metrics.finite:
                self._handle_nonfinite(metrics, batches)
        return fetched[-1]

    def _handle_nonfinite(self, metrics: StepMetrics, batches: Batches) -> None:
        """Write the batch of the step to a file; raise :class:`DivergedError` beyond the allowed number."""
        batch, path = batches.whole(metrics.step - 1), self.directory
        if self.world.first:
            path = dump_nonfinite_batch(self.directory, metrics, batch, self.config.seed)
        keys = ", ".join(batch.keys[:4]) + (", …" if len(batch.keys) > 4 else "")
        what = f"loss {metrics.loss:g}, gradient norm {metrics.grad_norm:g}, scenes {keys}, saved in {path}"
        self._skipped += 1
        if self._skipped <= self.config.skip_nonfinite:
            self.reporter.note(f"note: step {metrics.step} skipped: {what}")
            return
        saved = self._save_before(metrics.step)
        self.world.barrier()
        raise DivergedError(
            f"training diverged at step {metrics.step}: {what}; {saved}; "
            "try a smaller train.learning_rate, a smaller train.clip_norm or train.warmup_steps"
        )

    def _save_before(self, step: int) -> str:
        """Save the state before ``step``, which the guard has skipped; return what a resumed run continues from."""
        latest, parameters = self._checkpoints.latest, self.state.model.parameters()
        if latest and not all(parameter.isfinite().all() for parameter in parameters):
            return f"its weights are not finite, the newest checkpoint is {latest}"  # no run could continue from them
        self.state.guard.forget_last()
        self.state.step = step - 1
        self._save()
        return f"the state after step {self.step} is saved, and the same command resumes from it"

    def _write_row(
        self, metrics: StepMetrics, log: TrainingLog, validate: bool, show: Show, throughput: Throughput
    ) -> None:
        """Validate if it is due, then write the row and show it."""
        row = log_row(metrics, learning_rate(self.config, self.step - 1))
        if self.state.geco:
            row["geco_multiplier"] = metrics.multiplier
        if self.config.kl_schedule != "constant":
            row["kl_weight"] = float(self.state.model.beta)  # type: ignore[arg-type]
        if self.config.skip_nonfinite:
            row["skipped"] = self._skipped
        if validate and self._validation:
            row |= self._validation(self.state, log)
        row, speed = loggable(row), throughput.measure(self.step)
        log.row(row, speed)
        show(self.step, {**row, **speed})

    def _save(self) -> None:
        if not self.world.first:
            return
        if self._log:
            self._log.flush()  # before the checkpoint: others who follow the run know no step without its row
        self._checkpoints.save(self.step, self.state.checkpoint(self._log.rows() if self._log else b""))

    def _stop(self, actions: StepActions) -> None:
        if actions.stop_signalled or actions.stop_out_of_time:
            self.world.barrier()  # until the first rank has saved: torchrun ends all ranks as soon as one has ended
        if actions.stop_signalled:
            raise KeyboardInterrupt(f"stopped after step {self.step}; run the same command again to resume")
        if actions.stop_out_of_time:
            progress = f"{self.step} of {self.config.steps}"
            raise TimeLimitReached(f"time limit reached after step {progress}; run the same command again to resume")


class _Validation:
    """Validates a copy of the model, so that training is not affected."""

    def __init__(self, validate: Validate, state: TrainingState, estimate: Callable[[], str]) -> None:
        self._validate = validate
        with enough_memory("copying the model for validation", FREE_DEVICE, estimate):
            self._copy = copy.deepcopy(state.model).eval().requires_grad_(False)

    def __call__(self, state: TrainingState, log: TrainingLog) -> dict[str, Any]:
        """Validate the present weights, remember them if they are the best, and return the metrics."""
        weights = state.weights()
        self._copy.load_state_dict(weights)
        for copied, buffer in zip(self._copy.buffers(), state.model.buffers(), strict=True):
            copied.copy_(buffer)  # β is a buffer that the state does not contain
        with enough_memory("validating", "lower train.batch_size"):
            result = self._validate(self._copy, state.step)
        metrics = loggable(result.metrics)
        state.best.offer(state.step, metrics, weights)
        if result.picture:
            log.picture(state.step, "validation", result.picture)
        return metrics
