"""What depends on the step: learning rate, KL weight and Adam's ε; and what is due after a step, such as validation.

This module imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from iodine_kit.config import Config
from iodine_kit.errors import ConfigError
from iodine_kit.process import StopRequest
from iodine_kit.records import Microbatch
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.distributed import World


def learning_rate(config: TrainConfig, step: int) -> float:
    """The rate of step ``step``, counted from 0. See :class:`TrainConfig` for the schedules."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "exponential":
        return float(config.learning_rate * config.decay_rate ** (step / config.decay_steps))
    if config.schedule == "cosine":
        progress = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
        fraction = 0.5 * (1 + math.cos(math.pi * progress))
        return config.learning_rate * (config.final_fraction + (1 - config.final_fraction) * fraction)
    return config.learning_rate


def kl_weight(config: TrainConfig, step: int, final: float) -> float:
    """The weight of the KL term at step ``step``, counted from 0; it ends at ``final``, the model's β."""
    if config.kl_schedule == "constant" or step >= config.kl_end:
        return final
    progress = max(step - config.kl_begin, 0) / (config.kl_end - config.kl_begin)
    if config.kl_schedule == "linear":
        return config.kl_from + progress * (final - config.kl_from)
    return float(config.kl_from * (final / config.kl_from) ** progress)


def adam_epsilon(config: TrainConfig, step: int) -> float:
    """The ε of PyTorch's Adam at step ``step``, counted from 0, that has the effect of ``train.adam_epsilon``.

    TensorFlow divides by √v + ε and PyTorch by √v / √(1 − β2^t) + ε, with t = step + 1. They agree if PyTorch's ε is
    also divided by √(1 − β2^t). Skipped steps count in t, as they do in the learning rate.
    """
    if config.adam_epsilon == "pytorch":
        return config.epsilon
    return config.epsilon / math.sqrt(1 - config.beta2 ** (step + 1))


def split_batch(first: int, count: int, total: int, accumulate: int) -> list[Microbatch]:
    """Split a rank's ``count`` images, from index ``first`` of ``total``, into ``accumulate`` equal microbatches.

    Raises:
        ConfigError: if the images do not divide.
    """
    each, left = divmod(count, accumulate)
    if left or not each:
        ranks = "" if count == total else f" of each of {total // count} ranks"
        raise ConfigError(f"train.accumulate: {count} images{ranks} do not divide into {accumulate} equal parts")
    return [Microbatch(first + number * each, each, total) for number in range(accumulate)]


@dataclass(frozen=True)
class StepActions:
    """What to do after a step; the same on all ranks.

    Attributes:
        log, validate, save: whether to write a row, validate, write a checkpoint.
        stop_signalled: whether to stop because of a signal, and
        stop_out_of_time: because the time limit has passed.
    """

    log: bool
    validate: bool
    save: bool
    stop_signalled: bool
    stop_out_of_time: bool

    @property
    def fetch(self) -> bool:
        """Whether the host needs the step's metrics, and so has to wait for the device."""
        return self.log or self.save


def actions_after(
    step: int, config: TrainConfig, execution: TrainExecution, validates: bool, stop: StopRequest, world: World
) -> StepActions:
    """Return what is due after ``step`` steps.

    All ranks stop after the same step: they exchange their requests at every step but the last.
    """
    last = step >= config.steps

    def due(every: int) -> bool:
        return every > 0 and (last or step % every == 0)

    validate = validates and due(config.validate_every)
    stopping = not last and world.any(stop.signalled or stop.out_of_time)
    signalled = stopping and world.any(stop.signalled)
    return StepActions(
        log=validate or due(config.log_every),
        validate=validate,
        save=due(execution.checkpoint_every) or stopping,
        stop_signalled=signalled,
        stop_out_of_time=stopping and not signalled,
    )


def configured_beta(config: Config) -> float | None:
    """The β in a model's configuration; ``None`` for a model without it."""
    return float(config.model_dump(include={"beta"})["beta"]) if "beta" in type(config).model_fields else None
