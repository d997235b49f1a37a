"""Everything that changes as training goes on: weights, Adam, averages, GECO, the guard, the best weights so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from iodine_kit.config import differences
from iodine_kit.errors import ResumeError
from iodine_kit.training.checkpoint import Checkpoint, first_misfit
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.run_files import checkpoint_name


class Average:
    """Averages every trained parameter of ``model``.

    The decay grows with the step, min(``decay``, (1 + step) / (10 + step)), so that the initial weights are soon
    forgotten; as a function of the step it needs no state.

    Attributes:
        values: the averages, by parameter name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.values = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int, held: Tensor) -> None:
        """Take in the weights after step ``step``, counted from 0, unless its update was ``held`` back, ``bool[]``."""
        weight = (1 - min(self._decay, (1 + step) / (10 + step))) * (~held).float()
        for name, value in self.values.items():
            value.lerp_(self._parameters[name], weight)


LARGEST = 1e3
"""The multiplier stays between this and its inverse."""


class Geco:
    """Minimises the KL subject to a negative log-likelihood of at most ``target`` nats per image at the last decode.

    The loss is multiplier · NLL + KL. After every step the multiplier is multiplied by exp(``rate`` · C), where C is a
    moving average of NLL − ``target``: it grows while images are explained too badly, and then gives way to the KL.

    Attributes:
        log_multiplier: ``float32[]``; starts at 0, the ELBO.
        excess: ``float32[]``, C; not a number before the first step.
    """

    def __init__(self, target: float, rate: float, smoothing: float, device: torch.device) -> None:
        self._target, self._rate, self._smoothing = target, rate, smoothing
        self.log_multiplier = torch.zeros((), device=device)
        self.excess = torch.full((), math.nan, device=device)

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        """The loss of this step; scalars in nats per image."""
        return self.log_multiplier.exp() * nll + kl

    @torch.no_grad()
    def update(self, nll: Tensor, held: Tensor) -> None:
        """Take in the last decode's ``nll``, nats per image, unless this step's update was ``held`` back."""
        new = nll - self._target
        excess = torch.where(self.excess.isnan(), new, torch.lerp(new, self.excess, self._smoothing))
        bound = math.log(LARGEST)
        multiplier = (self.log_multiplier + self._rate * excess).clamp(-bound, bound)
        self.excess.copy_(torch.where(held, self.excess, excess))
        self.log_multiplier.copy_(torch.where(held, self.log_multiplier, multiplier))


class Guard:
    """Counts, on the device, the steps that were not finite, and says which updates are not to be made.

    Once there were more than ``allowance``, no update is made any more: whenever the host looks, it finds the state as
    it was before the step that was one too many.

    Attributes:
        skipped: ``int64[]``, steps that were not finite.
    """

    def __init__(self, allowance: int, device: torch.device) -> None:
        self.allowance = allowance
        self.skipped = torch.zeros((), dtype=torch.int64, device=device)

    def holds(self, finite: Tensor) -> Tensor:
        """Whether this step's update is to be left out, ``bool[]``, given whether the step was ``finite``."""
        over = self.skipped > self.allowance
        self.skipped += ~(finite | over)
        return ~finite | over

    def forgive(self) -> None:
        """Forget the one step that was too many, so that a run that goes on tries it again."""
        self.skipped.clamp_(max=self.allowance)


FG_ARI, ELBO = ("fg_ari", 1), ("val_loss", -1)
SCORES = {"best": [FG_ARI], "best-elbo": [ELBO], "last": [FG_ARI, ELBO]}
"""What is compared, the second where there is no first, and the sign that makes more of it better."""


class Best:
    """Remembers the step whose validation went best, and its weights unless the last ones are selected anyway.

    Attributes:
        facts: ``step`` and the figures of that validation; empty before the first.
        weights: its weights on the CPU, by name.
    """

    def __init__(self, select: str) -> None:
        self._scores = SCORES[select]
        self._keeps_weights = select != "last"
        self.facts: dict[str, Any] = {}
        self.weights: dict[str, Tensor] = {}

    def offer(self, step: int, figures: Mapping[str, float], weights: Mapping[str, Tensor]) -> None:
        """Keep these weights if they are better than all before; the first of equals stays."""
        score = self._score(figures)
        if not score or score <= self._score(self.facts):
            return
        self.facts = {"step": step, **figures}
        if self._keeps_weights:
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}

    def _score(self, figures: Mapping[str, Any]) -> tuple[int, float] | tuple[()]:
        """Any score of the first kind is better than all of the second, and those than none."""
        for place, (name, sign) in enumerate(self._scores):
            value = sign * float(figures.get(name, math.nan))
            if math.isfinite(value):
                return -place, value
        return ()


ADAM = ("exp_avg", "exp_avg_sq", "step")


class TrainingState:
    """Weights, Adam's moments, and what the options of :class:`TrainConfig` add; ``step`` counts the steps done.

    Attributes:
        settings: data, model's and run's configuration, to tell the checkpoints of others apart.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, settings: Mapping[str, Any]) -> None:
        self.model, self.settings, self.step = model, settings, 0
        device = next(model.parameters()).device
        # The fused one leaves an update out where a tensor on the device says so, without the host having to look.
        self.optimizer = torch.optim.Adam(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True,
        )  # fmt: skip
        self.guard = Guard(config.skip_nonfinite, device)
        self.average = None if config.ema is None else Average(model, config.ema)
        self.geco = (
            None
            if config.geco_target is None
            else Geco(config.geco_target, config.geco_rate, config.geco_smoothing, device)
        )
        self.best = Best(config.select)

    def weights(self) -> dict[str, Tensor]:
        """The weights to validate and to end with: averaged if there is an average."""
        return {**self.model.state_dict(), **(self.average.values if self.average else {})}

    def checkpoint(self) -> Checkpoint:
        """What is needed to go on."""
        moments = {
            f"adam/{entry}/{name}": self.optimizer.state[parameter][entry]
            for name, parameter in self.model.named_parameters()
            if parameter in self.optimizer.state
            for entry in ADAM
        }
        best = {f"best/{name}": tensor for name, tensor in self.best.weights.items()}
        facts = {"step": self.step, "settings": self.settings, "best": self.best.facts}
        return Checkpoint({**self._tensors(), **moments, **best}, facts)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up a state; raises :class:`ResumeError` if it is another run's."""
        found = checkpoint.tensors
        other = next(iter(differences(checkpoint.facts["settings"], self.settings)), "")
        here = self._tensors()
        if other := other or first_misfit(
            here, {n: t for n, t in found.items() if not n.startswith(("adam/", "best/"))}
        ):
            name = checkpoint_name(checkpoint.facts["step"])
            owner = "run" if other.startswith(("train", "dataset", "start")) else "architecture"
            raise ResumeError(f"{name} is one of another {owner} ({other}): start anew with --overwrite")
        with torch.no_grad():
            for name, tensor in here.items():
                tensor.copy_(found[name])
        for name, parameter in self.model.named_parameters():
            if f"adam/step/{name}" in found:
                values = {entry: found[f"adam/{entry}/{name}"] for entry in ADAM}
                self.optimizer.state[parameter] = {entry: _like(value, parameter) for entry, value in values.items()}
        self.best.weights = {n.removeprefix("best/"): t for n, t in found.items() if n.startswith("best/")}
        self.best.facts = dict(checkpoint.facts["best"])
        self.step = int(checkpoint.facts["step"])

    def _tensors(self) -> dict[str, Tensor]:
        """What is there from the first step on, by its name in a checkpoint; the very tensors, no copies."""
        tensors = {f"weights/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors["guard/skipped"] = self.guard.skipped
        if self.average:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.values.items()}
        if self.geco:
            tensors |= {"geco/log_multiplier": self.geco.log_multiplier, "geco/excess": self.geco.excess}
        return tensors


def _like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """On the parameter's device and, of its shape, in its memory layout, as Adam would have made it."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
