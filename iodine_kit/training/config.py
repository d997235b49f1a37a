"""Configuration of a training run: what shapes its result, and how it is executed."""

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
        split: split of the data set to train on.
        steps: number of steps of the run.
        batch_size: images per step, over all ranks.
        learning_rate: highest learning rate of Adam.
        schedule: how the learning rate changes: ``exponential`` multiplies it by ``decay_rate`` every ``decay_steps``
            (continuously), ``cosine`` lowers it to ``final_fraction`` at the last step, ``constant`` keeps it.
        warmup_steps: steps in which the learning rate grows linearly, before the schedule.
        decay_rate: factor of the exponential schedule.
        decay_steps: steps in which the exponential schedule applies its factor once.
        final_fraction: fraction of the learning rate with which the cosine schedule ends.
        beta1: decay of Adam's first moment.
        beta2: decay of Adam's second moment.
        epsilon: ε of Adam.
        adam_epsilon: what ε is added to: ``pytorch`` adds it to the root of the bias-corrected second moment,
            ``tensorflow`` (release) to the root of the uncorrected one. With the default ``beta2``, TensorFlow's ε
            has the effect of one 32 times as large at the first step, and 1.03 times at step 3000.
        clip_norm: largest global norm of the gradient.
        kl_schedule: how the KL weight reaches ``model.beta``: it is ``constant``, or changes from ``kl_from`` between
            steps ``kl_begin`` and ``kl_end``, by equal differences (``linear``) or equal factors (``geometric``). The
            gradients that are inputs of the refinement network use the same weight.
        kl_from: KL weight up to step ``kl_begin``.
        kl_begin: step at which the KL weight starts to change.
        kl_end: step from which the KL weight is ``model.beta``. A shorter run ends with the weight of its last step.
        precision: precision of matrix products and convolutions; ``tf32`` rounds their factors on GPUs that support it.
        ema: decay of a moving average of the weights, with which the run then ends; none means no average.
        geco_target: negative log-likelihood in nats per image, at the last decode, that GECO aims at; none means the
            loss is the ELBO.
        geco_rate: growth of the logarithm of GECO's multiplier, per step and nat of excess.
        geco_smoothing: decay of the moving average of the excess.
        skip_nonfinite: number of steps that the run may skip because loss or gradient is not finite; one more ends it.
        log_every: steps between rows of the log. Loss and gradient of every step are checked in any case.
        validate_every: steps between validations; 0 means never. Unless it is 0, the last step is validated, too.
        validate_scenes: number of scenes to validate, from the start of the split; all if it has fewer.
        validate_split: split to validate on.
        select: weights with which the run ends: the ``last``; the ``best`` by FG-ARI, which needs true masks; or
            ``best-elbo``.
        seed: seed of the initial weights, the order of scenes and the noise.
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
    def _check_warmup(self) -> TrainConfig:
        if self.warmup_steps >= self.steps and self.warmup_steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}, but the run has only {self.steps} steps")
        return self

    @model_validator(mode="after")
    def _check_kl_schedule(self) -> TrainConfig:
        if self.kl_schedule != "constant" and self.kl_begin >= self.kl_end:
            raise ValueError(
                f"kl_schedule is {self.kl_schedule}, which needs kl_begin < kl_end, "
                f"but these are {self.kl_begin} and {self.kl_end}"
            )
        if self.kl_schedule == "geometric" and not self.kl_from:
            raise ValueError("a geometric kl_schedule cannot start from 0: set kl_from, or use linear")
        return self

    @model_validator(mode="after")
    def _check_select(self) -> TrainConfig:
        if self.select != "last" and not self.validate_every:
            raise ValueError(f"select is {self.select}, which needs validation: set validate_every")
        return self


class TrainExecution(Config):
    """How the run is executed; changes the result by rounding at most, and is no part of the key.

    Attributes:
        accumulate: number of microbatches of a batch; they are computed one after the other, to save memory.
        recompute: compute activations again in the backward pass instead of keeping them, to save memory.
        compile: whether to compile the step with ``torch.compile``; ``auto`` does not, because it measured slower.
        checkpoint_every: steps between checkpoints.
        keep: number of checkpoints to keep, the newest ones.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``…
        threads: CPU threads; 0 means PyTorch's default.
        max_seconds: save a checkpoint and stop after this time; 0 means no limit.
        tensorboard: also write TensorBoard events, if the package is installed.
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
