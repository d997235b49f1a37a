"""Means of models over scenes and seeds, and paired differences on the same scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation.bootstrap import central, distribution, mean_intervals, parts
from iodine_kit.evaluation.permutation import sign_flip_p
from iodine_kit.records import Floats64

_ROUNDING = 1e-12
"""Means over seeds that differ by no more than this share are equal: their sums were added up in another order."""


@dataclass(frozen=True)
class Draws:
    """How chance is drawn: ``resamples`` of the bootstrap, sign ``flips`` of the test, and from which seed."""

    resamples: int
    flips: int
    level: float
    seed: int


def model_figures(scores_SNM: Floats64, draws: Draws) -> list[dict[str, Any]]:
    """Mean over seeds of the means over scenes, by metric; NaN scores are left out of the latter.

    The interval says what other scenes would change, the deviation over seeds what another training would.

    Args:
        scores_SNM: of S seeds, N scenes and M metrics.
    """
    seeds, scenes, metrics = scores_SNM.shape
    sums, weights = parts(np.moveaxis(scores_SNM, 0, 1).reshape(scenes, seeds * metrics))
    with np.errstate(invalid="ignore"):
        means_SM = (sums.sum(0) / weights.sum(0)).reshape(seeds, metrics)
    ends = _ends(sums, weights, seeds, draws)
    counts = weights.sum(0).reshape(seeds, metrics).min(0)
    return [
        {
            "mean": number(means_SM[:, i].mean()),
            "sd": number(means_SM[:, i].std(ddof=1)) if seeds > 1 else None,
            "interval": interval(ends[i]),
            "n": int(counts[i]),
            "by_seed": [number(mean) for mean in means_SM[:, i]],
        }
        for i in range(metrics)
    ]


def pair_figures(first_NM: Floats64, other_NM: Floats64, better: Sequence[str], draws: Draws) -> list[dict[str, Any]]:
    """How the other model differs from the first, scene by scene, by metric.

    Args:
        first_NM, other_NM: scores, each the mean over the model's seeds; NaN if it is undefined for one of them.
        better: "higher" or "lower", by metric.
    """
    difference_NM = other_NM - first_NM
    difference_NM[np.abs(difference_NM) <= _ROUNDING * np.maximum(np.abs(first_NM), np.abs(other_NM))] = 0
    ends = mean_intervals(difference_NM, resamples=draws.resamples, level=draws.level, seed=draws.seed)
    p = sign_flip_p(difference_NM, resamples=draws.flips, seed=draws.seed)
    figures = []
    for i, side in enumerate(better):
        defined = difference_NM[:, i][~np.isnan(difference_NM[:, i])]
        gain = defined if side == "higher" else -defined
        figures.append(
            {
                "difference": number(defined.mean()) if len(defined) else None,
                "interval": interval(ends[i]),
                "p": number(p[i]),
                "better": int((gain > 0).sum()),
                "worse": int((gain < 0).sum()),
                "equal": int((gain == 0).sum()),
                "n": len(defined),
            }
        )
    return figures


def number(value: Any) -> float | None:
    """A figure for JSON, which knows no NaN."""
    return None if np.isnan(value) else float(value)


def interval(ends: NDArray[Any]) -> list[float] | None:
    """Both ends for JSON."""
    return None if np.isnan(ends).any() else [float(end) for end in ends]


def _ends(sums: Floats64, weights: Floats64, seeds: int, draws: Draws) -> Floats64:
    """Intervals of the means over seeds, ``float64[M, 2]``: every resample draws the same scenes for all seeds."""
    metrics = sums.shape[1] // seeds
    ends = np.full((metrics, 2), np.nan)
    known = (weights > 0).sum(0).reshape(seeds, metrics).min(0) > 1
    if draws.resamples and known.any():
        drawn = distribution(sums, weights, resamples=draws.resamples, seed=draws.seed)
        ends[known] = central(drawn.reshape(seeds, metrics, -1).mean(0)[known], draws.level)
    return ends
