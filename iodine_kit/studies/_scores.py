"""Scores per scene, and their means with bootstrap intervals over scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.artifacts.evaluations import read_scores
from iodine_kit.evaluation.bootstrap import distribution, mean_intervals, parts
from iodine_kit.formatting import estimated
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.studies._experiment import Evaluated
from iodine_kit.studies._findings import Estimate

Floats64 = NDArray[np.float64]
RESAMPLES, LEVEL, SEED = 2000, 0.95, 0
_MIN_SCENES = 2
"""A bootstrap of fewer scenes is meaningless."""

INTERVALS = f"Intervals are {LEVEL:.0%} percentile bootstrap intervals over scenes ({RESAMPLES:,} resamples)."
ARI_TEXT = (
    "FG-ARI compares only the pixels of objects. The ELBO is that of the last decode, in nats per image; higher is "
    "better."
)


def fg_ari(evaluated: Evaluated) -> Floats64:
    """FG-ARI of every scene, ``float64[N]``, NaN where it is undefined."""
    return read_scores(evaluated.evaluation)["ari"]


def mse(evaluated: Evaluated) -> Floats64:
    """Mean squared error of every scene's reconstruction, ``float64[N]``."""
    return read_scores(evaluated.evaluation)["mse"]


def final(evaluated: Evaluated, column: str = "elbo") -> Floats64:
    """``elbo``, ``nll`` or ``kl`` of every scene after the last decode, ``float64[N]``, in nats per image."""
    values = PredictionReader(evaluated.predictions.path / PREDICTIONS).column(column)
    return np.asarray(values[:, -1], np.float64)


def mean_scores(scores: Sequence[Floats64]) -> Floats64:
    """Mean over several inferences or runs, scene by scene; a scene that is undefined in one of them is undefined."""
    result: Floats64 = np.mean(np.stack(scores), 0)
    return result


def estimate(values: Floats64) -> Estimate:
    """Mean of ``float64[N]`` over the scenes with a value, and its interval."""
    values = np.asarray(values, np.float64)
    defined = int(np.isfinite(values).sum())
    if not defined:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    low, high = mean_intervals(values[:, None], resamples=RESAMPLES, level=LEVEL, seed=SEED)[0]
    return Estimate(float(np.nanmean(values)), float(low), float(high), defined)


def unpaired_difference(first: Floats64, second: Floats64) -> Estimate:
    """Mean of ``first`` minus mean of ``second``, which are scores of different scenes; both are resampled."""
    defined = [int(np.isfinite(values).sum()) for values in (first, second)]
    if not all(defined):
        return Estimate(float("nan"), float("nan"), float("nan"), sum(defined))
    means = [float(np.nanmean(values)) for values in (first, second)]
    if min(len(first), len(second)) < _MIN_SCENES:
        return Estimate(means[0] - means[1], float("nan"), float("nan"), sum(defined))
    resampled = [
        distribution(*parts(values[:, None]), resamples=RESAMPLES, seed=SEED + i)[0]
        for i, values in enumerate((first, second))
    ]
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(resampled[0] - resampled[1], [tail, 1 - tail])
    return Estimate(means[0] - means[1], float(low), float(high), sum(defined))


def format_estimate(value: Estimate) -> str:
    """``"0.9523 [0.9401, 0.9632]"``; without an interval only the mean."""
    has_interval = np.isfinite([value.low, value.high]).all()
    return estimated(value.mean, (value.low, value.high) if has_interval else None)


def verdict(value: Estimate) -> str:
    """Whether the interval of a difference includes 0, as a clause."""
    return f"the interval {'excludes' if value.excludes_zero else 'includes'} 0"


def join_words(words: Sequence[str]) -> str:
    """``"a, b and c"``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
