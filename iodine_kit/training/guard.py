"""Keeps what is not finite out of the weights, without asking the device about it at every step."""

from __future__ import annotations

import torch
from torch import Tensor


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
