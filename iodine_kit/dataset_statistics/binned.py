"""A histogram of numbers whose range is not known in advance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from iodine_kit.dataset_statistics.distribution import MOST_BINS, MOST_UNIT_BINS, Distribution, Histogram
from iodine_kit.records import Array

_FINE, _DIGITS = 11, 40
"""A bin is at least 2^-11 of the range, and 2^-40 of the largest number, wide."""
_MIN_EXPONENT = -1000
"""Smallest exponent of a bin's width, which is a power of 2; a smaller width would be rounded to 0."""
_LARGEST = 1e150
"""Larger numbers count as undefined, because their square may not be finite."""


class BinnedCounts:
    """Counts numbers in about two thousand bins, whose width is a power of two.

    When the range grows, adjacent bins are joined. Bins start at multiples of their width, so joining is exact: the
    same numbers give the same counts in any order.
    """

    def __init__(self) -> None:
        self._exponent, self._first = _MIN_EXPONENT, 0
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._n, self._undefined, self._whole = 0, 0, True
        self._mean, self._squares = 0.0, 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, numbers: Array) -> None:
        """Count ``[n]``, of any numeric type; numbers that are not finite are counted separately."""
        values = np.asarray(numbers, np.float64)
        finite = values[np.abs(values) < _LARGEST]
        self._undefined += len(values) - len(finite)
        if not len(finite):
            return
        self._whole &= bool((finite % 1 == 0).all())
        self._add_moments(len(finite), float(finite.mean()), float(((finite - finite.mean()) ** 2).sum()))
        self._extend_range(float(finite.min()), float(finite.max()))
        bins = np.floor(finite / 2.0**self._exponent).astype(np.int64)
        first = int(bins.min())
        self._add_counts(first, np.bincount(bins - first))

    def merge(self, other: BinnedCounts) -> None:
        """Add the counts of ``other``."""
        self._undefined += other._undefined
        if not other._n:
            return
        self._whole &= other._whole
        self._add_moments(other._n, other._mean, other._squares)
        self._extend_range(other._low, other._high)
        self._coarsen(max(self._exponent, other._exponent))
        self._add_counts(*_join_bins(other._first, other._counts, self._exponent - other._exponent))

    def distribution(self) -> Distribution:
        """Summarise the numbers; without quantiles, because the numbers are not kept."""
        if not self._n:
            return Distribution(undefined=self._undefined)
        return Distribution(
            n=self._n,
            mean=self._mean,
            std=math.sqrt(self._squares / self._n),
            minimum=self._low,
            maximum=self._high,
            histogram=self._histogram(),
            undefined=self._undefined,
        )

    def _histogram(self) -> Histogram:
        whole = self._whole and self._high - self._low < MOST_UNIT_BINS and self._exponent <= 0
        exponent = 0 if whole else self._exponent
        while not whole and _bin(self._high, exponent) - _bin(self._low, exponent) >= MOST_BINS:
            exponent += 1
        first, counts = _join_bins(self._first, self._counts, exponent - self._exponent)
        used = np.flatnonzero(counts)
        counts, first = counts[used[0] : used[-1] + 1], first + int(used[0])
        edges = tuple(math.ldexp(first + index, exponent) for index in range(len(counts) + 1))
        return Histogram(edges, tuple(counts.tolist()), whole)

    def _add_moments(self, n: int, mean: float, squares: float) -> None:
        """Chan, Golub and LeVeque 1983: avoids the difference of large sums."""
        total, apart = self._n + n, mean - self._mean
        self._squares += squares + apart**2 * self._n * n / total
        self._mean += apart * n / total
        self._n = total

    def _extend_range(self, low: float, high: float) -> None:
        self._low, self._high = min(self._low, low), max(self._high, high)
        span, size = self._high - self._low, max(abs(self._low), abs(self._high))
        finest = math.frexp(size)[1] - _DIGITS if size else _MIN_EXPONENT
        self._coarsen(max(math.frexp(span)[1] - _FINE, finest) if span else finest)

    def _coarsen(self, exponent: int) -> None:
        if exponent > self._exponent:
            self._first, self._counts = _join_bins(self._first, self._counts, exponent - self._exponent)
            self._exponent = exponent

    def _add_counts(self, first: int, counts: NDArray[np.int64]) -> None:
        if not len(self._counts):
            self._first, self._counts = first, counts.astype(np.int64)
            return
        before = max(self._first - first, 0)
        after = max(first + len(counts) - self._first - len(self._counts), 0)
        self._counts, self._first = np.pad(self._counts, (before, after)), self._first - before
        self._counts[first - self._first : first - self._first + len(counts)] += counts


def _bin(value: float, exponent: int) -> int:
    """Number of the bin of width 2^exponent that contains the value."""
    return math.floor(math.ldexp(value, -exponent))


def _join_bins(first: int, counts: NDArray[np.int64], times: int) -> tuple[int, NDArray[np.int64]]:
    """Double the width of the bins ``times`` times; returns the number of the first bin, and the counts."""
    if not len(counts) or not times:
        return first, counts
    bins = np.array([index >> times for index in range(first, first + len(counts))], np.int64)
    joined = np.zeros(int(bins[-1] - bins[0]) + 1, np.int64)
    np.add.at(joined, bins - bins[0], counts)
    return int(bins[0]), joined
