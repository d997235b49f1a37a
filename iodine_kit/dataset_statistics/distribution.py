"""Distributions of numbers as tables and charts show them, and an exact counter of integers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array

NAN = float("nan")
MOST_BINS = 32
"""Most bins of a histogram whose bins are wider than 1."""
MOST_UNIT_BINS = 41
"""Most bins of a histogram in which every integer has its own bin."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Histogram:
    """Counts of adjacent bins.

    Attributes:
        edges: ascending, one more than ``counts``; a bin includes its lower edge and excludes its upper edge.
        counts: how many numbers each bin contains.
        whole: every bin is 1 wide and contains only the integer at its lower edge.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    whole: bool = False

    def scaled(self, factor: float) -> Histogram:
        """The histogram of the numbers multiplied by ``factor`` > 0."""
        return Histogram(tuple(edge * factor for edge in self.edges), self.counts)


@dataclass(frozen=True)
class Distribution:
    """Summary of some numbers; if there are none, all fields except the counts are NaN.

    Attributes:
        n: how many finite numbers there are.
        std: standard deviation of the population (divided by n, not n - 1).
        quantiles: by probability, with linear interpolation as in NumPy; empty if only a histogram was kept.
        histogram: ``None`` if there is no number.
        undefined: how many numbers were omitted because they are not finite.
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
        """The distribution of the numbers multiplied by ``factor`` > 0."""
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
    """Convert a dataclass of this package, or a collection of them, to JSON types. NaN and infinity become null."""
    if hasattr(value, "__dataclass_fields__"):
        return as_json(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class IntegerCounts:
    """Counts integers from 0 on, which gives exact statistics; its memory grows only with the largest integer."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, values: Array | Sequence[int]) -> None:
        """Count ``int[n]``, all ≥ 0."""
        self._add_counts(np.bincount(np.asarray(values, np.int64)))

    def merge(self, other: IntegerCounts) -> None:
        """Add the counts of ``other``."""
        self._add_counts(other.counts)

    def distribution(self, quantiles: Sequence[float] = QUANTILES) -> Distribution:
        """Summarise the integers."""
        values = np.flatnonzero(self.counts)
        if not values.size:
            return Distribution()
        counts = self.counts[values]
        n = int(counts.sum())
        mean = float(values @ counts) / n
        return Distribution(
            n=n,
            mean=mean,
            std=float(np.sqrt((values - mean) ** 2 @ counts / n)),
            minimum=float(values[0]),
            maximum=float(values[-1]),
            quantiles={at: _quantile(values, counts, at) for at in quantiles},
            histogram=self._histogram(int(values[0]), int(values[-1])),
        )

    def _add_counts(self, counts: NDArray[np.int64]) -> None:
        if len(counts) > len(self.counts):
            self.counts = np.pad(self.counts, (0, len(counts) - len(self.counts)))
        self.counts[: len(counts)] += counts

    def _histogram(self, low: int, high: int) -> Histogram:
        width = 1 if high - low < MOST_UNIT_BINS else _bin_width(low, high)
        first, last = low // width, high // width
        spread = np.pad(self.counts[first * width : high + 1], (0, (last + 1) * width - high - 1))
        edges = tuple(float(width * index) for index in range(first, last + 2))
        return Histogram(edges, tuple(spread.reshape(-1, width).sum(1).tolist()), whole=width == 1)


def _quantile(values: NDArray[np.int64], counts: NDArray[np.int64], at: float) -> float:
    """Linear interpolation between the two nearest of the sorted integers."""
    last = np.cumsum(counts)
    position = at * (int(last[-1]) - 1)
    ranks = math.floor(position), math.ceil(position)
    below, above = (float(values[np.searchsorted(last, rank, "right")]) for rank in ranks)
    return below + (above - below) * (position - int(position))


def _bin_width(low: int, high: int) -> int:
    """The smallest of 2, 5, 10, 20, 50, … that needs at most ``MOST_BINS`` bins."""
    widths = (factor * power for power in map(int, 10.0 ** np.arange(12)) for factor in (1, 2, 5))
    return next(width for width in widths if width > 1 and high // width - low // width < MOST_BINS)
