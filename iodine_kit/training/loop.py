"""The training loop: Adam with a global-norm clip, checkpoints, and a stop at the first value that is not finite."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from iodine_kit.errors import DivergedError, TimeLimitReached
from iodine_kit.progress import Reporter
from iodine_kit.records import SceneBatch
from iodine_kit.tensors import images_to, pick_device, step_generator
from iodine_kit.training.checkpoint import load_checkpoint, save_checkpoint, save_weights
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.files import CHECKPOINT, WEIGHTS
from iodine_kit.training.log import TrainingLog
from iodine_kit.training.schedule import learning_rate
from iodine_kit.training.stop import StopRequest


class Batches(Protocol):
    """Where batches come from; see :class:`iodine_kit.loader.ShuffledBatches`."""

    def prefetched(self, start: int, stop: int) -> Any:
        """Iterate over the batches of steps ``start`` to ``stop - 1``."""


class Trainer:
    """Trains ``model`` in ``directory``, going on from the checkpoint that lies there, if any."""

    def __init__(
        self, model: nn.Module, config: TrainConfig, execution: TrainExecution, directory: Path, reporter: Reporter
    ) -> None:
        if execution.threads:
            torch.set_num_threads(execution.threads)
        self.config, self.execution, self.directory, self.reporter = config, execution, directory, reporter
        self.device = pick_device(execution.device)
        self.model = model.to(self.device)
        self.optimizer = torch.optim.Adam(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.epsilon,
        )  # fmt: skip
        self.step = 0
        if (directory / CHECKPOINT).exists():
            self.step = load_checkpoint(directory / CHECKPOINT, model, self.optimizer)
            reporter.note(f"resuming after step {self.step}")

    def run(self, batches: Batches) -> dict[str, Any]:
        """Train to the last step; leaves weights and log in the directory and returns facts.

        Raises:
            DivergedError: at the first loss or gradient norm that is not finite.
            TimeLimitReached, KeyboardInterrupt: after saving a checkpoint.
        """
        started, first = time.monotonic(), self.step
        log = TrainingLog(self.directory, self.step, self.execution.tensorboard)
        try:
            with StopRequest(self.execution.max_seconds) as stop:
                self._steps(batches, log, stop)
        finally:
            log.close()
        save_weights(self.directory / WEIGHTS, self.model)
        seconds = time.monotonic() - started
        return {
            "steps": self.step,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "seconds_per_step": round(seconds / max(self.step - first, 1), 5),
        }

    def _steps(self, batches: Batches, log: TrainingLog, stop: StopRequest) -> None:
        clock, before = time.monotonic(), self.step
        with self.reporter.track("train", self.config.steps, self.step) as advance:
            for batch in batches.prefetched(self.step, self.config.steps):
                logged = (self.step + 1) % self.config.log_every == 0 or self.step + 1 == self.config.steps
                values = self._update(batch, logged)
                self.step += 1
                if logged:
                    seconds = time.monotonic() - clock
                    speed = (self.step - before) * self.config.batch_size / seconds
                    log.row(self.step, values, {"images_per_second": speed})
                    advance(self.step - before, loss=f"{values['loss']:.1f}", speed=f"{speed:.0f} images/s")
                    clock, before = time.monotonic(), self.step
                self._save_or_stop(log, stop)

    def _update(self, batch: SceneBatch, logged: bool = True) -> dict[str, float]:
        """One step of Adam; returns what is to be ``logged``."""
        generator = step_generator(self.config.seed, self.step)
        terms = self.model.loss(images_to(self.device, batch.image), generator)  # type: ignore[operator]
        self.optimizer.zero_grad(set_to_none=True)
        terms.loss.backward()
        norm: Tensor = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        loss, grad_norm = terms.loss.item(), norm.item()
        self._check_finite(loss, grad_norm, batch)
        rate = learning_rate(self.config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        last = {"nll": terms.nll_T[-1].item(), "kl": terms.kl_TK[-1].sum().item()} if logged else {}
        return {"loss": loss, **last, "grad_norm": grad_norm, "learning_rate": rate}

    def _check_finite(self, loss: float, grad_norm: float, batch: SceneBatch) -> None:
        if math.isfinite(loss) and math.isfinite(grad_norm):
            return
        keys = ", ".join(batch.keys[:4]) + (", …" if len(batch.keys) > 4 else "")
        raise DivergedError(
            f"training diverged at step {self.step + 1}: loss {loss:g}, gradient norm {grad_norm:g}, scenes {keys}; "
            "try a smaller train.learning_rate, a smaller train.clip_norm or train.warmup_steps"
        )

    def _save_or_stop(self, log: TrainingLog, stop: StopRequest) -> None:
        last, stopping = self.step >= self.config.steps, stop.signalled or stop.out_of_time
        if last or stopping or self.step % self.execution.checkpoint_every == 0:
            log.flush()  # before the checkpoint: rows too many are dropped on resuming, missing ones would stay missing
            save_checkpoint(self.directory / CHECKPOINT, self.model, self.optimizer, self.step)
        if last:
            return
        if stop.signalled:
            raise KeyboardInterrupt(f"stopped after step {self.step}; go on with --resume")
        if stop.out_of_time:
            raise TimeLimitReached(
                f"time limit reached after step {self.step} of {self.config.steps}; go on with --resume"
            )
