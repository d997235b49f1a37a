"""What shapes a training run, and how it is executed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from iodine_kit.config import Config

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(Config):
    """What shapes the result; part of the run's key. The defaults are the release's for CLEVR6.

    Attributes:
        split: of the data set to train on.
        steps, batch_size: length of the run, and images per step.
        learning_rate: of Adam, with ``beta1``, ``beta2`` and ``epsilon``.
        schedule: after ``warmup_steps`` of linear growth, ``exponential`` decays by ``decay_rate`` every
            ``decay_steps`` (continuously), ``cosine`` falls to ``final_fraction`` at the last step.
        clip_norm: largest global norm of the gradient.
        log_every: steps between rows of the log. Every step's finiteness is checked all the same.
        seed: of the weights, the order of scenes and the noise.
    """

    split: str = "train"
    steps: Positive = 1_000_000
    batch_size: Positive = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["exponential", "cosine", "constant"] = "exponential"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    decay_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    decay_steps: Positive = 1_000_000
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    beta1: Share = 0.95
    beta2: Share = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    clip_norm: Annotated[float, Field(gt=0)] = 5.0
    log_every: Positive = 10
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _warmup_fits(self) -> TrainConfig:
        if self.warmup_steps >= self.steps and self.warmup_steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}, and the run has only {self.steps} steps")
        return self


class TrainExecution(Config):
    """How the run is executed; cannot change its result beyond rounding and is no part of its key.

    Attributes:
        checkpoint_every: steps between checkpoints.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``…
        threads: CPU threads; 0 leaves it to PyTorch.
        max_seconds: save and stop after so long; 0 means no limit.
        tensorboard: also write TensorBoard events, where the package is installed.
    """

    checkpoint_every: Positive = 1000
    device: str = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
    max_seconds: Annotated[float, Field(ge=0)] = 0
    tensorboard: bool = True
