"""What a part of the hammer tried, and what was lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Losses:
    """The number of tries of one kind, and one sentence for each loss."""

    part: str
    what: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def require(self, holds: bool, sentence: str) -> bool:
        """Note a loss unless a condition holds; returns whether it does."""
        if not holds:
            self.lost.append(sentence)
        return holds


Say = Callable[[str], None]
"""Receives one line about the progress."""
