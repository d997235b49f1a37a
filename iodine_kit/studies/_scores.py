"""Scores per scene, and their means with bootstrap intervals over scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.formatting import number
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.stages.evaluate import read_table
from iodine_kit.studies._experiment import Scored
from iodine_kit.studies._findings import Estimate

Floats64 = NDArray[np.float64]
RESAMPLES, LEVEL, SEED = 2000, 0.95, 0
_FEWEST = 2
"""Scenes below which nothing can be drawn anew."""
INTERVALS = f"Intervals are {LEVEL:.0%} percentile bootstrap intervals over scenes, {RESAMPLES:,} resamples."
ARI_TEXT = (
    "FG-ARI compares the objects' pixels only; the ELBO is that of the last decode in nats per image, higher is better."
)


def estimate(values: Floats64) -> Estimate:
    """Mean of ``float64[N]`` over the scenes that have a value, with its interval."""
    from iodine_kit.evaluation.bootstrap import mean_intervals

    values = np.asarray(values, np.float64)
    defined = int(np.isfinite(values).sum())
    if not defined:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    low, high = mean_intervals(values[:, None], resamples=RESAMPLES, level=LEVEL, seed=SEED)[0]
    return Estimate(float(np.nanmean(values)), float(low), float(high), defined)


def gap(first: Floats64, second: Floats64) -> Estimate:
    """Difference of two means over scenes that have nothing to do with each other; both are drawn anew."""
    from iodine_kit.evaluation.bootstrap import distribution, parts

    known = [int(np.isfinite(values).sum()) for values in (first, second)]
    if not all(known):
        return Estimate(float("nan"), float("nan"), float("nan"), sum(known))
    means = [float(np.nanmean(values)) for values in (first, second)]
    if min(len(first), len(second)) < _FEWEST:
        return Estimate(means[0] - means[1], float("nan"), float("nan"), sum(known))
    drawn = [
        distribution(*parts(values[:, None]), resamples=RESAMPLES, seed=SEED + i)[0]
        for i, values in enumerate((first, second))
    ]
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(drawn[0] - drawn[1], [tail, 1 - tail])
    return Estimate(means[0] - means[1], float(low), float(high), sum(known))


def ari(scored: Scored) -> Floats64:
    """FG-ARI of every scene, NaN where it is undefined."""
    return read_table(scored.evaluation)["ari"]


def mse(scored: Scored) -> Floats64:
    """Mean squared error of every scene."""
    return read_table(scored.evaluation)["mse"]


def last(scored: Scored, column: str = "elbo") -> Floats64:
    """``elbo``, ``nll`` or ``kl`` of every scene after the last decode, in nats per image."""
    values = PredictionReader(scored.predictions.path / PREDICTIONS).column(column)
    return np.asarray(values[:, -1], np.float64)


def mean_over(parts: Sequence[Floats64]) -> Floats64:
    """Mean over several inferences or runs, scene by scene; a scene undefined in one is undefined."""
    result: Floats64 = np.mean(np.stack(parts), 0)
    return result


def told(value: Estimate) -> str:
    """``"0.9523 [0.9401, 0.9632]"``."""
    if not np.isfinite([value.low, value.high]).all():
        return number(value.mean)
    return f"{number(value.mean)} [{number(value.low)}, {number(value.high)}]"


def listed(words: Sequence[str]) -> str:
    """``"a, b and c"``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
