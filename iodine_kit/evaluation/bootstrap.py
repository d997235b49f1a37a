"""Bootstrap intervals of many means at once: over scenes, with the same resamples for all of them.

Every quantity is a ratio of two sums over scenes: a metric's mean is the sum of its defined scores by their number, a
group's mean the same over its scenes, an IoU by object size a sum over objects by their number. A resample says how
often each scene was drawn, so one matrix product gives all ratios of a resample.

Why percentile intervals and not BCa: they belong to the reported quantity, the mean of the scenes that have a score,
even though a resample may draw another number of those. Equal scores give an interval of width zero, for which BCa is
undefined (0/0). BCa's jackknife needs as many evaluations as there are scenes, 10,000 beside 2,000 resamples. BCa's
correction, a shift by the skewness of the mean, falls with one over the root of the number of scenes. Below about ten
scenes neither is reliable, and the percentile interval is too narrow by the factor √((n−1)/n).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Floats64

METHOD = "percentile bootstrap over scenes, the same resamples for all figures"
_BATCH_BYTES = 32 << 20


@dataclass(frozen=True)
class Resampling:
    """How scenes are drawn: how many ``resamples`` (0 for no intervals), the ``level`` of intervals, and the seed."""

    resamples: int
    level: float
    seed: int


def intervals(sums_NC: Floats64, weights_NC: Floats64, *, resamples: int, level: float, seed: int) -> Floats64:
    """Percentile intervals of ``sums.sum(0) / weights.sum(0)`` when scenes are drawn with replacement.

    Args:
        sums_NC, weights_NC: numerator and denominator of every scene, by column; both 0 where a scene does not count.
        resamples: 0 for no intervals.
        level: share of the resamples that lie within, in (0, 1).

    Returns:
        ``float64[C, 2]``, low and high. NaN for a column to which fewer than two scenes contribute. Resamples without
        any scene of a column are omitted from its quantiles.
    """
    result = np.full((sums_NC.shape[1], 2), np.nan)
    known = (weights_NC != 0).sum(0) > 1
    if resamples and known.any():
        ratios_CR = distribution(sums_NC[:, known], weights_NC[:, known], resamples=resamples, seed=seed)
        result[known] = central(ratios_CR, level)
    return result


def central(drawn_CR: Floats64, level: float) -> Floats64:
    """The ends between which the share ``level`` of the resamples lies, ``float64[C, 2]``; NaN is ignored."""
    tail = (1 - level) / 2
    ends: Floats64 = np.nanquantile(drawn_CR, [tail, 1 - tail], axis=1).T
    return ends


def distribution(sums_NC: Floats64, weights_NC: Floats64, *, resamples: int, seed: int) -> Floats64:
    """The ratios of every resample, ``float64[C, R]``; NaN where a resample has no weight.

    ``scipy.stats.bootstrap`` draws scene numbers in batches, so that memory does not grow with the resamples.
    """
    from scipy import stats

    scenes, columns = sums_NC.shape
    both = np.concatenate([sums_NC, weights_NC], 1)

    def ratios(numbers: NDArray[np.int64], axis: int = -1) -> Floats64:
        drawn = np.stack([np.bincount(row, minlength=scenes) for row in np.atleast_2d(numbers)])
        totals = drawn.astype(np.float64) @ both
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Floats64 = (totals[:, :columns] / totals[:, columns:]).T
        return result

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # of a small group; its NaN are handled here
        result = stats.bootstrap(
            (np.arange(scenes),),
            ratios,
            n_resamples=resamples,
            batch=max(1, _BATCH_BYTES // (24 * scenes)),
            vectorized=True,
            method="percentile",
            random_state=np.random.default_rng(seed),  # the name that scipy 1.12 and the newest both know
        )
    drawn: Floats64 = result.bootstrap_distribution
    return drawn


def mean_intervals(scores_NC: Floats64, *, resamples: int, level: float, seed: int) -> Floats64:
    """Intervals ``float64[C, 2]`` of the means of ``scores_NC`` over scenes; NaN is a scene without a score."""
    sums, weights = parts(scores_NC)
    return intervals(sums, weights, resamples=resamples, level=level, seed=seed)


def parts(scores: Floats64) -> tuple[Floats64, Floats64]:
    """Numerator and denominator of a mean that ignores NaN, of the same shape."""
    defined = ~np.isnan(scores)
    return np.where(defined, scores, 0.0), defined.astype(np.float64)
