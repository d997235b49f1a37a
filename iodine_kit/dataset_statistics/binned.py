"""A histogram of numbers whose range nobody knows beforehand."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from iodine_kit.dataset_statistics.distribution import Distribution, Histogram
from iodine_kit.dataset_statistics.tally import MOST_BINS, MOST_SINGLE
from iodine_kit.records import Array

_FINE, _DIGITS = 11, 40
"""An interval is at least 2^-11 of the range, and 2^-40 of the largest number, wide."""
_NARROWEST = -1000
"""Of an interval's width, the least exponent of 2: narrower ones would count as no width at all."""
_LARGEST = 1e150
"""Beyond it the square of a finite number may not be finite."""


class Binned:
    """Counts in intervals as wide as a power of two, about two thousand of them.

    When the range grows, neighbours are joined. Intervals begin at multiples of their width, so that this is exact: the
    same numbers give the same counts in whatever order they come.
    """

    def __init__(self) -> None:
        self._exponent, self._first = _NARROWEST, 0
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._n, self._undefined, self._whole = 0, 0, True
        self._mean, self._squares = 0.0, 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, numbers: Array) -> None:
        """Count ``[n]``, of any type of number; those not finite are counted apart."""
        values = np.asarray(numbers, np.float64)
        good = values[np.abs(values) < _LARGEST]
        self._undefined += len(values) - len(good)
        if not len(good):
            return
        self._whole &= bool((good % 1 == 0).all())
        self._add_moments(len(good), float(good.mean()), float(((good - good.mean()) ** 2).sum()))
        self._make_room(float(good.min()), float(good.max()))
        places = np.floor(good / 2.0**self._exponent).astype(np.int64)
        first = int(places.min())
        self._add_counts(first, np.bincount(places - first))

    def merge(self, other: Binned) -> None:
        """Count in what another one counted."""
        self._undefined += other._undefined
        if not other._n:
            return
        self._whole &= other._whole
        self._add_moments(other._n, other._mean, other._squares)
        self._make_room(other._low, other._high)
        self._coarsen(max(self._exponent, other._exponent))
        self._add_counts(*_joined(other._first, other._counts, self._exponent - other._exponent))

    def distribution(self) -> Distribution:
        """All of them in short; without quantiles, which were not kept."""
        if not self._n:
            return Distribution(undefined=self._undefined)
        std = math.sqrt(self._squares / self._n)
        return Distribution(
            self._n, self._mean, std, self._low, self._high, {}, self._histogram(), self._undefined
        )  # fmt: skip

    def _histogram(self) -> Histogram:
        whole = self._whole and self._high - self._low < MOST_SINGLE and self._exponent <= 0
        exponent = 0 if whole else self._exponent
        while not whole and _place(self._high, exponent) - _place(self._low, exponent) >= MOST_BINS:
            exponent += 1
        first, counts = _joined(self._first, self._counts, exponent - self._exponent)
        used = np.flatnonzero(counts)
        counts, first = counts[used[0] : used[-1] + 1], first + int(used[0])
        edges = tuple(math.ldexp(first + index, exponent) for index in range(len(counts) + 1))
        return Histogram(edges, tuple(counts.tolist()), whole)

    def _add_moments(self, n: int, mean: float, squares: float) -> None:
        """Chan, Golub and LeVeque 1983: no difference of large sums."""
        total, apart = self._n + n, mean - self._mean
        self._squares += squares + apart**2 * self._n * n / total
        self._mean += apart * n / total
        self._n = total

    def _make_room(self, low: float, high: float) -> None:
        self._low, self._high = min(self._low, low), max(self._high, high)
        span, size = self._high - self._low, max(abs(self._low), abs(self._high))
        finest = math.frexp(size)[1] - _DIGITS if size else _NARROWEST
        self._coarsen(max(math.frexp(span)[1] - _FINE, finest) if span else finest)

    def _coarsen(self, exponent: int) -> None:
        if exponent > self._exponent:
            self._first, self._counts = _joined(self._first, self._counts, exponent - self._exponent)
            self._exponent = exponent

    def _add_counts(self, first: int, counts: NDArray[np.int64]) -> None:
        if not len(self._counts):
            self._first, self._counts = first, counts.astype(np.int64)
            return
        before = max(self._first - first, 0)
        after = max(first + len(counts) - self._first - len(self._counts), 0)
        self._counts, self._first = np.pad(self._counts, (before, after)), self._first - before
        self._counts[first - self._first : first - self._first + len(counts)] += counts


def _place(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent))


def _joined(first: int, counts: NDArray[np.int64], times: int) -> tuple[int, NDArray[np.int64]]:
    """Intervals after their width was doubled so many ``times``: number of the first one, and the counts."""
    if not len(counts) or not times:
        return first, counts
    places = np.array([index >> times for index in range(first, first + len(counts))], np.int64)
    joined = np.zeros(int(places[-1] - places[0]) + 1, np.int64)
    np.add.at(joined, places - places[0], counts)
    return int(places[0]), joined
