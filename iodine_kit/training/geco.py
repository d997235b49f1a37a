"""GECO: a multiplier on the likelihood, found so that a constraint holds (Rezende and Viola 2018, algorithm 1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
