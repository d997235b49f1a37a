"""Means of models over scenes and seeds, and paired differences on the same scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation import bootstrap
from iodine_kit.evaluation.bootstrap import Resampling, central, distribution, mean_intervals, parts
from iodine_kit.evaluation.facts import (
    Bootstrap,
    ComparisonFacts,
    Difference,
    EvaluationFacts,
    MetricDescription,
    MetricFacts,
    ModelFacts,
    ModelMean,
    PairFacts,
    PermutationTest,
    ends_or_none,
    number_or_none,
)
from iodine_kit.progress import Advance
from iodine_kit.records import Floats64

TEST_METHOD = "two-sided sign-flip permutation test of the mean paired difference"
_BATCH_BYTES = 32 << 20
_CLOSE = 1e-12
"""Sums that differ by rounding only count as equal."""


def sign_flip_p(differences_NC: Floats64, *, resamples: int, seed: int) -> Floats64:
    """Two-sided p-values of the hypothesis that differences are symmetric around 0, by column, ``float64[C]``.

    NaN is a scene without a difference. If there are no more than ``resamples`` ways to flip the signs, all are tried
    and p is exact. Otherwise ``resamples`` of them are drawn, the same for all columns, and p counts the observed signs
    among them, so it is never 0. NaN for a column without scenes.
    """
    filled = np.nan_to_num(differences_NC, nan=0.0)
    scenes = len(filled)
    observed = np.abs(filled.sum(0))
    reached = observed - _CLOSE * np.abs(filled).sum(0)
    exact = scenes < 60 and 2**scenes <= resamples
    flips = 2**scenes if exact else resamples
    rng, count, at = np.random.default_rng(seed), np.zeros(filled.shape[1], np.int64), 0
    batch = max(1, _BATCH_BYTES // (16 * max(scenes, 1)))
    while at < flips:
        rows = min(batch, flips - at)
        negative = _every(at, rows, scenes) if exact else rng.integers(0, 2, (rows, scenes), np.int8)
        count += (np.abs((1.0 - 2.0 * negative) @ filled) >= reached).sum(0)
        at += rows
    p = count / flips if exact else (count + 1) / (flips + 1)
    return np.where(np.isfinite(differences_NC).any(0), p, np.nan)


def _every(first: int, rows: int, scenes: int) -> NDArray[np.int8]:
    """The binary digits of ``first`` and the numbers after it: which signs are flipped."""
    numbers = np.arange(first, first + rows, dtype=np.int64)[:, None]
    return (numbers >> np.arange(scenes) & 1).astype(np.int8)


_ROUNDING = 1e-12
"""Means over seeds that differ by no more than this share are equal: their sums were added up in another order."""


@dataclass(frozen=True, eq=False)
class ModelScores:
    """Scores of a model.

    Attributes:
        name: for people.
        evaluations, seeds: by seed of training: where the scores come from, and the seed, if it is known.
        resize: how its masks were resized for comparison.
        scores_SNM: ``float64``, of S seeds, N scenes and M metrics; NaN is undefined.
    """

    name: str
    evaluations: Sequence[str]
    seeds: Sequence[int | None]
    resize: str
    scores_SNM: Floats64


def compare(
    models: Sequence[ModelScores],
    metrics: Sequence[str],
    first: EvaluationFacts,
    resampling: Resampling,
    flips: int,
    left_out: Mapping[str, str],
    advance: Advance,
) -> ComparisonFacts:
    """Compare every model with the first.

    Args:
        metrics: names, in the order of the scores' last axis.
        first: the evaluation whose data set, split and descriptions of metrics hold for all models.
        flips: random flips of signs that the test draws.
        left_out: why a metric is not compared, by name.
        advance: called with 1 after every model.
    """
    described = {name: _described(first.metrics[name]) for name in metrics}
    facts, means = [], []
    for model in models:
        figures = dict(zip(metrics, model_means(model.scores_SNM, resampling), strict=True))
        facts.append(
            ModelFacts(
                name=model.name,
                evaluations=list(model.evaluations),
                seeds=list(model.seeds),
                resize=model.resize,
                metrics=figures,
            )
        )
        means.append(model.scores_SNM.mean(0))
        advance(1)
    better = [metric.better for metric in described.values()]
    pairs = []
    for model, theirs in zip(models[1:], means[1:], strict=True):
        found = dict(zip(metrics, differences(means[0], theirs, better, resampling, flips), strict=True))
        pairs.append(PairFacts(a=models[0].name, b=model.name, metrics=found))
    return ComparisonFacts(
        dataset=first.dataset,
        split=first.split,
        scenes=first.scenes,
        resolution=first.resolution,
        convention=first.convention,
        bootstrap=Bootstrap(
            level=resampling.level, resamples=resampling.resamples, seed=resampling.seed, method=bootstrap.METHOD
        ),
        test=PermutationTest(method=TEST_METHOD, flips=flips, seed=resampling.seed),
        metrics=described,
        models=facts,
        pairs=pairs,
        left_out=dict(left_out),
    )


def model_means(scores_SNM: Floats64, resampling: Resampling) -> list[ModelMean]:
    """Mean over seeds of the means over scenes, by metric; NaN scores are ignored in the latter.

    The interval shows the effect of other scenes, the deviation over seeds that of another training.

    Args:
        scores_SNM: of S seeds, N scenes and M metrics.
    """
    seeds, scenes, metrics = scores_SNM.shape
    sums, weights = parts(np.moveaxis(scores_SNM, 0, 1).reshape(scenes, seeds * metrics))
    with np.errstate(invalid="ignore"):
        means_SM = (sums.sum(0) / weights.sum(0)).reshape(seeds, metrics)
    ends = _intervals(sums, weights, seeds, resampling)
    counts = weights.sum(0).reshape(seeds, metrics).min(0)
    return [
        ModelMean(
            mean=number_or_none(means_SM[:, i].mean()),
            sd=number_or_none(means_SM[:, i].std(ddof=1)) if seeds > 1 else None,
            interval=ends_or_none(ends[i]),
            n=int(counts[i]),
            by_seed=[number_or_none(mean) for mean in means_SM[:, i]],
        )
        for i in range(metrics)
    ]


def differences(
    first_NM: Floats64, other_NM: Floats64, better: Sequence[str], resampling: Resampling, flips: int
) -> list[Difference]:
    """How the other model differs from the first, scene by scene, by metric.

    Args:
        first_NM, other_NM: scores, each the mean over the model's seeds; NaN if it is undefined for one of them.
        better: "higher" or "lower", by metric.
        flips: random flips of signs that the test draws.
    """
    difference_NM = other_NM - first_NM
    difference_NM[np.abs(difference_NM) <= _ROUNDING * np.maximum(np.abs(first_NM), np.abs(other_NM))] = 0
    ends = mean_intervals(difference_NM, resamples=resampling.resamples, level=resampling.level, seed=resampling.seed)
    p = sign_flip_p(difference_NM, resamples=flips, seed=resampling.seed)
    found = []
    for i, side in enumerate(better):
        defined = difference_NM[:, i][~np.isnan(difference_NM[:, i])]
        gain = defined if side == "higher" else -defined
        found.append(
            Difference(
                difference=number_or_none(defined.mean()) if len(defined) else None,
                interval=ends_or_none(ends[i]),
                p=number_or_none(p[i]),
                better=int((gain > 0).sum()),
                worse=int((gain < 0).sum()),
                equal=int((gain == 0).sum()),
                n=len(defined),
            )
        )
    return found


def _described(metric: MetricFacts) -> MetricDescription:
    return MetricDescription(**{name: getattr(metric, name) for name in MetricDescription.model_fields})


def _intervals(sums: Floats64, weights: Floats64, seeds: int, resampling: Resampling) -> Floats64:
    """Intervals of the means over seeds, ``float64[M, 2]``: every resample draws the same scenes for all seeds."""
    metrics = sums.shape[1] // seeds
    ends = np.full((metrics, 2), np.nan)
    known = (weights > 0).sum(0).reshape(seeds, metrics).min(0) > 1
    if resampling.resamples and known.any():
        drawn = distribution(sums, weights, resamples=resampling.resamples, seed=resampling.seed)
        ends[known] = central(drawn.reshape(seeds, metrics, -1).mean(0)[known], resampling.level)
    return ends
