"""The learning rate and the weight of the KL term as functions of the step."""

from __future__ import annotations

import math

from iodine_kit.training.config import TrainConfig


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
