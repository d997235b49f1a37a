"""Everything that changes while a model is trained: weights, Adam, averages, GECO, skipped steps, the best weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from iodine_kit.config import differences
from iodine_kit.errors import ResumeError
from iodine_kit.training.checkpoint import Checkpoint, first_misfit
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.run_files import checkpoint_name


class EMA:
    """Exponential moving average of every trained parameter of ``model``.

    The decay grows with the step: min(``decay``, (1 + step) / (10 + step)). So the initial weights lose their influence
    soon, and the decay needs no state.

    Attributes:
        values: the averages, by name of the parameter.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.values = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int, skip: Tensor) -> None:
        """Average in the weights after step ``step``, counted from 0; do nothing if ``skip``, ``bool[]``, is true."""
        weight = (1 - min(self._decay, (1 + step) / (10 + step))) * (~skip).float()
        for name, value in self.values.items():
            value.lerp_(self._parameters[name], weight)


LARGEST_MULTIPLIER = 1e3
"""GECO's multiplier stays between this number and its inverse."""


class Geco:
    """Minimises the KL subject to a negative log-likelihood of at most ``target`` nats per image at the last decode.

    The loss is multiplier · NLL + KL. After every step the multiplier is multiplied by exp(``rate`` · C), where C is a
    moving average of NLL − ``target``. It grows while the NLL is above the target, and shrinks while it is below.

    Attributes:
        log_multiplier: ``float32[]``; starts at 0, which gives the ELBO.
        excess: ``float32[]``, C; NaN before the first step.
    """

    def __init__(self, target: float, rate: float, smoothing: float, device: torch.device) -> None:
        self._target, self._rate, self._smoothing = target, rate, smoothing
        self.log_multiplier = torch.zeros((), device=device)
        self.excess = torch.full((), math.nan, device=device)

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        """The loss of this step; scalars in nats per image."""
        return self.log_multiplier.exp() * nll + kl

    @torch.no_grad()
    def update(self, nll: Tensor, skip: Tensor) -> None:
        """Adapt the multiplier to the last decode's ``nll``, nats per image, unless ``skip``, ``bool[]``, is true."""
        new = nll - self._target
        excess = torch.where(self.excess.isnan(), new, torch.lerp(new, self.excess, self._smoothing))
        bound = math.log(LARGEST_MULTIPLIER)
        multiplier = (self.log_multiplier + self._rate * excess).clamp(-bound, bound)
        self.excess.copy_(torch.where(skip, self.excess, excess))
        self.log_multiplier.copy_(torch.where(skip, self.log_multiplier, multiplier))


class NonFiniteGuard:
    """Counts, on the device, the steps that were not finite, and decides which updates to skip.

    Once there were more than ``allowance``, it skips every update. So the state stays as it was before the step that
    exceeded the allowance, however late the host fetches the metrics.

    Attributes:
        skipped: ``int64[]``, number of steps that were not finite.
    """

    def __init__(self, allowance: int, device: torch.device) -> None:
        self.allowance = allowance
        self.skipped = torch.zeros((), dtype=torch.int64, device=device)

    def must_skip(self, finite: Tensor) -> Tensor:
        """Count a step, which is ``finite`` or not, and return whether to skip its update; both ``bool[]``."""
        exceeded = self.skipped > self.allowance
        self.skipped += ~(finite | exceeded)
        return ~finite | exceeded

    def forget_last(self) -> None:
        """Forget the one step that exceeded the allowance, so that a resumed run tries it again."""
        self.skipped.clamp_(max=self.allowance)


FG_ARI, ELBO = ("fg_ari", 1), ("val_loss", -1)
CRITERIA = {"best": [FG_ARI], "best-elbo": [ELBO], "last": [FG_ARI, ELBO]}
"""For each ``train.select``: the metrics to compare, a later one only if an earlier one is undefined; and the sign that
makes a larger value the better one."""


class BestWeights:
    """Remembers the best validation, and its weights unless the run ends with the last weights anyway.

    Attributes:
        facts: ``step`` and the metrics of that validation; empty before the first.
        weights: its weights on the CPU, by name.
    """

    def __init__(self, select: str) -> None:
        self._criteria = CRITERIA[select]
        self._keeps_weights = select != "last"
        self.facts: dict[str, Any] = {}
        self.weights: dict[str, Tensor] = {}

    def offer(self, step: int, metrics: Mapping[str, float], weights: Mapping[str, Tensor]) -> None:
        """Keep these weights if they are better than all before; of equal ones, keep the first."""
        score = self._score(metrics)
        if not score or score <= self._score(self.facts):
            return
        self.facts = {"step": step, **metrics}
        if self._keeps_weights:
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}

    def _score(self, metrics: Mapping[str, Any]) -> tuple[int, float] | tuple[()]:
        """A score to compare: any value of the first criterion beats all of the second; "()" if both are undefined."""
        for place, (name, sign) in enumerate(self._criteria):
            value = sign * float(metrics.get(name, math.nan))
            if math.isfinite(value):
                return -place, value
        return ()


@dataclass(frozen=True)
class Mismatch:
    """The first difference between a checkpoint and the run that is to resume from it.

    Attributes:
        owner: what the checkpoint belongs to: another ``run`` of the same model, or another ``architecture``.
        difference: the first setting or tensor that differs.
    """

    owner: Literal["run", "architecture"]
    difference: str


ADAM = ("exp_avg", "exp_avg_sq", "step")
LOG = "log/rows"
"""The tensor, ``uint8[bytes]``, with the rows of the training log up to the step of the checkpoint."""
SEPARATE = ("adam/", "best/", LOG)
"""Prefixes of the tensors that only some checkpoints have."""


class TrainingState:
    """Weights, Adam's moments, and what the options of :class:`TrainConfig` add; ``step`` counts the finished steps.

    Attributes:
        settings: tables of the run's configuration (``dataset``, ``model``, ``train``, ``start``), by which a
            checkpoint of another run is recognised.
        saved_log: rows of the training log in the checkpoint from which the run continues; ``None`` without one.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, settings: Mapping[str, Any]) -> None:
        self.model, self.settings, self.step = model, settings, 0
        self.saved_log: bytes | None = None
        device = next(model.parameters()).device
        # Fused Adam skips an update if a tensor on the device says so; the host need not wait for that tensor.
        self.optimizer = torch.optim.Adam(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True,
        )  # fmt: skip
        self.guard = NonFiniteGuard(config.skip_nonfinite, device)
        self.ema = None if config.ema is None else EMA(model, config.ema)
        self.geco = (
            None
            if config.geco_target is None
            else Geco(config.geco_target, config.geco_rate, config.geco_smoothing, device)
        )
        self.best = BestWeights(config.select)

    def weights(self) -> dict[str, Tensor]:
        """The weights to validate and to end with: the averages if the run has any."""
        return {**self.model.state_dict(), **(self.ema.values if self.ema else {})}

    def checkpoint(self, log: bytes = b"") -> Checkpoint:
        """All that a resumed run needs; ``log`` has the rows of the training log so far."""
        moments = {
            f"adam/{entry}/{name}": self.optimizer.state[parameter][entry]
            for name, parameter in self.model.named_parameters()
            if parameter in self.optimizer.state
            for entry in ADAM
        }
        best = {f"best/{name}": tensor for name, tensor in self.best.weights.items()}
        facts = {"step": self.step, "settings": self.settings, "best": self.best.facts}
        rows = {LOG: torch.from_numpy(np.frombuffer(log, np.uint8).copy())}
        return Checkpoint({**self._tensors(), **moments, **best, **rows}, facts)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint.

        Raises:
            ResumeError: if it is a checkpoint of another run.
        """
        if mismatch := self._mismatch(checkpoint):
            name = checkpoint_name(checkpoint.facts["step"])
            raise ResumeError(
                f"{name} belongs to another {mismatch.owner} ({mismatch.difference}): "
                "use --overwrite to start from the beginning"
            )
        stored = checkpoint.tensors
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(stored[name])
        for name, parameter in self.model.named_parameters():
            if f"adam/step/{name}" in stored:
                values = {entry: stored[f"adam/{entry}/{name}"] for entry in ADAM}
                self.optimizer.state[parameter] = {entry: _like(value, parameter) for entry, value in values.items()}
        self.best.weights = {n.removeprefix("best/"): t for n, t in stored.items() if n.startswith("best/")}
        self.best.facts = dict(checkpoint.facts["best"])
        self.step = int(checkpoint.facts["step"])
        self.saved_log = checkpoint.tensors[LOG].numpy().tobytes() if LOG in checkpoint.tensors else None

    def _mismatch(self, checkpoint: Checkpoint) -> Mismatch | None:
        """Compare the settings table by table, in alphabetical order, then the tensors."""
        stored = checkpoint.facts["settings"]
        for table in sorted({*stored, *self.settings}):
            old, new = ({table: each[table]} if table in each else {} for each in (stored, self.settings))
            if changed := differences(old, new):
                return Mismatch("architecture" if table == "model" else "run", changed[0])
        tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if not name.startswith(SEPARATE)}
        misfit = first_misfit(self._tensors(), tensors)
        return Mismatch("architecture", misfit) if misfit else None

    def _tensors(self) -> dict[str, Tensor]:
        """The tensors that exist from the first step on, not copied, by their names in a checkpoint."""
        tensors = {f"weights/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors["guard/skipped"] = self.guard.skipped
        if self.ema:
            tensors |= {f"average/{name}": tensor for name, tensor in self.ema.values.items()}
        if self.geco:
            tensors |= {"geco/log_multiplier": self.geco.log_multiplier, "geco/excess": self.geco.excess}
        return tensors


def _like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """Copy a moment to the parameter's device, and to its memory layout if it has its shape, as Adam creates it."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
