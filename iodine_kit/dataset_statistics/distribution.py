"""How numbers are distributed, as tables and charts show it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

NAN = float("nan")


@dataclass(frozen=True)
class Histogram:
    """Counts of adjacent intervals.

    Attributes:
        edges: ascending, one more than ``counts``; an interval holds its lower edge and not its upper one.
        counts: numbers in each.
        whole: every interval is one wide and holds the whole number at its lower edge.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    whole: bool = False

    def scaled(self, factor: float) -> Histogram:
        """The same of numbers that are all multiplied by ``factor`` > 0."""
        return Histogram(tuple(edge * factor for edge in self.edges), self.counts)


@dataclass(frozen=True)
class Distribution:
    """Some numbers in short; all but the counts are NaN if there is none.

    Attributes:
        n: how many.
        std: of the whole population, not an estimate from a sample.
        quantiles: by probability; between two values linear, as numpy's. Empty where only a histogram was kept.
        histogram: ``None`` if there is no number.
        undefined: numbers left out because they are not finite.
    """

    n: int = 0
    mean: float = NAN
    std: float = NAN
    minimum: float = NAN
    maximum: float = NAN
    quantiles: Mapping[float, float] = field(default_factory=dict)
    histogram: Histogram | None = None
    undefined: int = 0

    def scaled(self, factor: float) -> Distribution:
        """The same of numbers that are all multiplied by ``factor`` > 0."""
        return replace(
            self,
            mean=self.mean * factor,
            std=self.std * factor,
            minimum=self.minimum * factor,
            maximum=self.maximum * factor,
            quantiles={at: value * factor for at, value in self.quantiles.items()},
            histogram=self.histogram and self.histogram.scaled(factor),
        )


def as_json(value: Any) -> Any:
    """A dataclass of this package, or anything made of them, in JSON's types; what is undefined is null."""
    if hasattr(value, "__dataclass_fields__"):
        return as_json(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
