"""The best weights so far, by validation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

SCORES = {"best": ("fg_ari", 1), "best-elbo": ("val_loss", -1), "last": ("fg_ari", 1)}
"""What is compared, and the sign that makes more of it better."""


class Best:
    """Remembers the step whose validation went best, and its weights unless the last ones are selected anyway.

    Attributes:
        facts: ``step`` and the figures of that validation; empty before the first.
        weights: its weights on the CPU, by name.
    """

    def __init__(self, select: str) -> None:
        self._name, self._sign = SCORES[select]
        self._keeps_weights = select != "last"
        self.facts: dict[str, Any] = {}
        self.weights: dict[str, Tensor] = {}

    def offer(self, step: int, figures: Mapping[str, float], weights: Mapping[str, Tensor]) -> None:
        """Keep these weights if they are better than all before; the first of equals stays."""
        score = self._score(figures)
        if score <= self._score(self.facts):
            return
        self.facts = {"step": step, **figures}
        if self._keeps_weights:
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}

    def _score(self, figures: Mapping[str, Any]) -> float:
        value = self._sign * float(figures.get(self._name, math.nan))
        return value if math.isfinite(value) else -math.inf
