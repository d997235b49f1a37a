"""The best weights so far, by validation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

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
