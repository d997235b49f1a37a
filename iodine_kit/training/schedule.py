"""The learning rate as a function of the step."""

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
