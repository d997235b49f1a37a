"""What steps have to tell, kept on the device until somebody looks: asking at every step would make a GPU wait."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reading:
    """The figures of one step, in nats per image.

    Attributes:
        step: counted from 1.
        loss: what was differentiated.
        nll_steps: negative log-likelihood at every decode.
        kl_slots: KL of every slot at the last decode.
        grad_norm: global norm of the gradient before clipping.
        multiplier: of the likelihood, GECO's or 1.
    """

    step: int
    loss: float
    nll_steps: list[float]
    kl_slots: list[float]
    grad_norm: float
    multiplier: float

    @property
    def finite(self) -> bool:
        """Whether the step made an update, unless an earlier one was one too many."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


@dataclass(frozen=True)
class Pending:
    """A reading on the device: loss, NLL of all decodes, KL of all slots, gradient norm and multiplier in a row."""

    step: int
    decodes: int
    values: Tensor

    def reading(self, values: list[float]) -> Reading:
        """Name the values."""
        end = 1 + self.decodes
        return Reading(self.step, values[0], values[1:end], values[end:-2], values[-2], values[-1])


def look(pending: list[Pending]) -> list[Reading]:
    """Bring readings to the host, all in one transfer."""
    if not pending:
        return []
    rows = torch.stack([one.values for one in pending]).tolist()
    return [one.reading(row) for one, row in zip(pending, rows, strict=True)]
