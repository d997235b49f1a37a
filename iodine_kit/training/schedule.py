"""Functions of the step: the learning rate, the weight of the KL term, Adam's ε; and how a batch is divided."""

from __future__ import annotations

import math

from iodine_kit.errors import ConfigError
from iodine_kit.records import Part
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


def adam_epsilon(config: TrainConfig, step: int) -> float:
    """The ε with which PyTorch's Adam makes step ``step``, counted from 0, as ``train.adam_epsilon`` says.

    TensorFlow divides by √v + ε and PyTorch by √v / √(1 − β2^t) + ε, with t = step + 1: they agree if PyTorch's ε is
    divided by √(1 − β2^t), too. Steps that were skipped count in t, as they do in the learning rate.
    """
    if config.adam_epsilon == "pytorch":
        return config.epsilon
    return config.epsilon / math.sqrt(1 - config.beta2 ** (step + 1))


def divide(first: int, count: int, total: int, parts: int) -> list[Part]:
    """Cut a rank's ``count`` images, from place ``first`` of ``total``, into equal ``parts``.

    Raises:
        ConfigError: if they do not divide.
    """
    each, left = divmod(count, parts)
    if left or not each:
        ranks = "" if count == total else f" of each of {total // count} ranks"
        raise ConfigError(f"train.accumulate: {count} images{ranks} do not divide into {parts} equal parts")
    return [Part(first + number * each, each, total) for number in range(parts)]
