"""How good predictions of factors are: R² and accuracy with intervals, and DCI (Eastwood and Williams 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation import bootstrap
from iodine_kit.evaluation.bootstrap import Resampling
from iodine_kit.evaluation.facts import Ends
from iodine_kit.evaluation.probing.factors import Factor
from iodine_kit.evaluation.probing.facts import Score
from iodine_kit.records import Floats64


@dataclass(frozen=True)
class Dci:
    """Both in [0, 1]; NaN where there is only one factor (disentanglement) or one dimension (completeness)."""

    disentanglement: float
    completeness: float


def dci(importance_ZF: Floats64) -> Dci:
    """Entropies of the importances of Z latent dimensions for F factors, not negative.

    A dimension's disentanglement is 1 − H_F of its importances by factor, and they are averaged by how much each
    dimension counts; a factor's completeness is 1 − H_Z of its importances by dimension, averaged likewise, which is
    evenly if every factor's importances sum to 1. Logarithms are to base F and Z.
    """
    return Dci(_ordered(importance_ZF), _ordered(importance_ZF.T))


def _ordered(rows: Floats64) -> float:
    """1 − entropy of each row, weighted by the rows' sums."""
    count, columns = rows.shape
    total = rows.sum()
    if columns < 2 or count == 0 or total <= 0:
        return float("nan")
    weights = rows.sum(1)
    shares = rows / np.where(weights > 0, weights, 1.0)[:, None]
    logs = np.log(np.where(shares > 0, shares, 1.0)) / np.log(columns)
    return float(((1 + (shares * logs).sum(1)) * weights).sum() / total)


def score(factor: Factor, predicted_M: Floats64) -> float:
    """R² or accuracy, over all objects at once.

    R² is 1 − Σ(y − ŷ)² / Σ(y − ȳ)², where ȳ is the mean of all objects: at most 1, and below 0 for worse than ȳ.
    """
    if factor.kind == "class":
        return float((predicted_M == factor.values).mean())
    errors = (factor.values - predicted_M) ** 2
    return float(1 - errors.sum() / ((factor.values - factor.values.mean()) ** 2).sum())


def scores(pairs: Sequence[tuple[Factor, Floats64]], scene_M: NDArray[np.int64], resampling: Resampling) -> list[Score]:
    """The scores of predictions ``float64[M]``, with intervals from the same resampled scenes for all of them.

    The probes are not trained again: the interval shows how far the score depends on the tested scenes.
    """
    intervals: list[Ends | None] = [None] * len(pairs)
    if resampling.resamples and len(np.unique(scene_M)) > 1:
        ends = bootstrap.central(_resampled(pairs, scene_M, resampling), resampling.level)
        intervals = [(float(low), float(high)) if np.isfinite(low + high) else None for low, high in ends]
    values = (score(factor, predicted) for factor, predicted in pairs)
    return [Score(score=value, interval=interval) for value, interval in zip(values, intervals, strict=True)]


def _resampled(
    pairs: Sequence[tuple[Factor, Floats64]], scene_M: NDArray[np.int64], resampling: Resampling
) -> Floats64:
    """Scores of every resample, ``float64[C, R]``: all are computed from means of three columns over objects."""
    columns = np.concatenate([_columns(factor, predicted) for factor, predicted in pairs], 1)
    scenes, row_M = np.unique(scene_M, return_inverse=True)
    sums = np.zeros((len(scenes), columns.shape[1]))
    np.add.at(sums, row_M, columns)
    weights = np.repeat(np.bincount(row_M)[:, None].astype(np.float64), columns.shape[1], 1)
    means = bootstrap.distribution(sums, weights, resamples=resampling.resamples, seed=resampling.seed)
    hits, values, squares = means[::3], means[1::3], means[2::3]
    drawn = np.empty_like(hits)
    for row, (factor, _) in enumerate(pairs):
        if factor.kind == "class":
            drawn[row] = hits[row]
        else:
            variance = squares[row] - values[row] ** 2
            drawn[row] = 1 - hits[row] / np.where(variance > 0, variance, np.nan)
    return drawn


def _columns(factor: Factor, predicted_M: Floats64) -> Floats64:
    """``float64[M, 3]``: for a class 1 if it is right; for a number its squared error, the number, and its square."""
    if factor.kind == "class":
        right = (predicted_M == factor.values).astype(np.float64)
        return np.stack([right, 0 * right, 0 * right], 1)
    centred = factor.values - factor.values.mean()  # so that the difference of squares keeps its digits
    return np.stack([(factor.values - predicted_M) ** 2, centred, centred**2], 1)
