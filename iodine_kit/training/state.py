"""Everything that changes as training goes on, and its way into a checkpoint and back.

The order of scenes and all noise are functions of the seed and the step, so no generator has a state to be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from iodine_kit.config import differences
from iodine_kit.errors import ResumeError
from iodine_kit.training.average import Average
from iodine_kit.training.best import Best
from iodine_kit.training.checkpoint import Checkpoint, first_misfit
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.files import checkpoint_name
from iodine_kit.training.geco import Geco
from iodine_kit.training.guard import Guard

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
