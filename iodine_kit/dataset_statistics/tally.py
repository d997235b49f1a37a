"""Whole numbers, counted one by one: exact means, quantiles and histograms, whatever their number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.dataset_statistics.distribution import Distribution, Histogram
from iodine_kit.records import Array

MOST_BINS = 32
MOST_SINGLE = 41
"""Up to so many whole numbers in a row have an interval each."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Tally:
    """Counts of whole numbers from 0 on; memory grows with the largest one only."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, values: Array | Sequence[int]) -> None:
        """Count ``int[n]``, none below 0."""
        self._add_counts(np.bincount(np.asarray(values, np.int64)))

    def merge(self, other: Tally) -> None:
        """Count in what another one counted."""
        self._add_counts(other.counts)

    def distribution(self, quantiles: Sequence[float] = QUANTILES) -> Distribution:
        """All of them in short."""
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
        width = 1 if high - low < MOST_SINGLE else _nice_width(low, high)
        first, last = low // width, high // width
        spread = np.pad(self.counts[first * width : high + 1], (0, (last + 1) * width - high - 1))
        edges = tuple(float(width * index) for index in range(first, last + 2))
        return Histogram(edges, tuple(spread.reshape(-1, width).sum(1).tolist()), whole=width == 1)


def _quantile(values: NDArray[np.int64], counts: NDArray[np.int64], at: float) -> float:
    """Between the two nearest of the sorted numbers, linear."""
    last = np.cumsum(counts)
    position = at * (int(last[-1]) - 1)
    ranks = math.floor(position), math.ceil(position)
    below, above = (float(values[np.searchsorted(last, rank, "right")]) for rank in ranks)
    return below + (above - below) * (position - int(position))


def _nice_width(low: int, high: int) -> int:
    """The narrowest of 2, 5, 10, 20, 50, … that needs few intervals."""
    widths = (factor * power for power in map(int, 10.0 ** np.arange(12)) for factor in (1, 2, 5))
    return next(width for width in widths if width > 1 and high // width - low // width < MOST_BINS)
