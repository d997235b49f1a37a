"""An exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
