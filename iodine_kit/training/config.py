"""What shapes a training run, and how it is executed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from iodine_kit.config import Config, NoneAsText

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(Config):
    """What shapes the result; part of the run's key. The defaults are the release's for CLEVR6.

    Attributes:
        split: of the data set to train on.
        steps: length of the run.
        batch_size: images per step, over all ranks and parts.
        learning_rate: of Adam, at its highest.
        schedule: ``exponential`` decays by ``decay_rate`` every ``decay_steps`` (continuously), ``cosine`` falls to
            ``final_fraction`` at the last step, ``constant`` stays.
        warmup_steps: of linear growth, before the schedule.
        decay_rate: of the exponential schedule.
        decay_steps: of the exponential schedule.
        final_fraction: of the learning rate, where the cosine ends.
        beta1: of Adam.
        beta2: of Adam.
        epsilon: of Adam.
        adam_epsilon: what epsilon is added to: ``pytorch``, the root of the second moment after the correction for its
            start at 0; ``tensorflow`` (release), the root before it, so that epsilon weighs 32 times as much at the
            first step and 1.03 times at step 3000, with the default ``beta2``.
        clip_norm: largest global norm of the gradient.
        kl_schedule: how the weight of the KL term reaches ``model.beta``: it is ``constant``, or goes there from
            ``kl_from`` between steps ``kl_begin`` and ``kl_end``, by equal steps (``linear``) or equal factors
            (``geometric``). The refinement network's gradient inputs follow it.
        kl_from: weight of the KL term up to step ``kl_begin``.
        kl_begin: step at which the weight starts to change.
        kl_end: step from which the weight is ``model.beta``. A shorter run ends with the weight of its last step.
        precision: of matrix products and convolutions; ``tf32`` rounds their factors on GPUs that can.
        ema: decay of a moving average of the weights, which is then what the run ends with; or none.
        geco_target: negative log-likelihood in nats per image that GECO holds the last decode to; none is the ELBO.
        geco_rate: growth of the logarithm of GECO's multiplier, per step and nat of excess.
        geco_smoothing: decay of the moving average of the excess.
        skip_nonfinite: steps that the run may leave out because loss or gradient is not finite; one more ends it.
        log_every: steps between rows of the log. Every step's finiteness is checked all the same.
        validate_every: steps between validations; 0 is never. The last step is always one.
        validate_scenes: the first so many of the split, or all if it has fewer.
        validate_split: of the data set.
        select: weights to end with: the ``last``; the ``best`` by FG-ARI, for which truth is needed; ``best-elbo``.
        seed: of the weights, the order of scenes and the noise.
    """

    split: str = "train"
    steps: Positive = 1_000_000
    batch_size: Positive = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["exponential", "cosine", "constant"] = "exponential"
    warmup_steps: Count = 0
    decay_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    decay_steps: Positive = 1_000_000
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    beta1: Share = 0.95
    beta2: Share = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    adam_epsilon: Literal["pytorch", "tensorflow"] = "pytorch"
    clip_norm: Annotated[float, Field(gt=0)] = 5.0
    kl_schedule: Literal["constant", "linear", "geometric"] = "constant"
    kl_from: Annotated[float, Field(ge=0)] = 1.0
    kl_begin: Count = 0
    kl_end: Count = 0
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    ema: Annotated[Share | None, NoneAsText] = None
    geco_target: Annotated[float | None, NoneAsText] = None
    geco_rate: Annotated[float, Field(gt=0)] = 1e-6
    geco_smoothing: Share = 0.99
    skip_nonfinite: Count = 0
    log_every: Positive = 10
    validate_every: Count = 0
    validate_scenes: Positive = 100
    validate_split: str = "val"
    select: Literal["last", "best", "best-elbo"] = "last"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _warmup_fits(self) -> TrainConfig:
        if self.warmup_steps >= self.steps and self.warmup_steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}, and the run has only {self.steps} steps")
        return self

    @model_validator(mode="after")
    def _kl_has_time_to_change(self) -> TrainConfig:
        if self.kl_schedule != "constant" and self.kl_begin >= self.kl_end:
            raise ValueError(
                f"kl_schedule is {self.kl_schedule}, which needs kl_begin < kl_end, "
                f"and these are {self.kl_begin} and {self.kl_end}"
            )
        if self.kl_schedule == "geometric" and not self.kl_from:
            raise ValueError("a geometric kl_schedule cannot start from 0: set kl_from, or use linear")
        return self

    @model_validator(mode="after")
    def _best_of_something(self) -> TrainConfig:
        if self.select != "last" and not self.validate_every:
            raise ValueError(f"select is {self.select}, which needs validation: set validate_every")
        return self


class TrainExecution(Config):
    """How the run is executed; cannot change its result beyond rounding and is no part of its key.

    Attributes:
        accumulate: parts of a batch that are computed one after the other, to save memory.
        recompute: compute activations again in the backward pass instead of keeping them, to save memory.
        compile: the step with ``torch.compile``; ``auto`` where it was measured to help.
        checkpoint_every: steps between checkpoints.
        keep: so many of the newest checkpoints.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``…
        threads: CPU threads; 0 leaves it to PyTorch.
        max_seconds: save and stop after so long; 0 means no limit.
        tensorboard: also write TensorBoard events, where the package is installed.
    """

    accumulate: Positive = 1
    recompute: bool = False
    compile: Literal["auto", "on", "off"] = "auto"
    checkpoint_every: Positive = 1000
    keep: Positive = 2
    device: str = "auto"
    threads: Count = 0
    max_seconds: Annotated[float, Field(ge=0)] = 0
    tensorboard: bool = True
