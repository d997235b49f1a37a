"""From scores per scene to means with intervals, by group, and the scenes with the worst and best scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation.bootstrap import METHOD, Resampling, intervals, parts
from iodine_kit.evaluation.facts import (
    Bootstrap,
    Ends,
    EvaluationFacts,
    GroupMean,
    Mean,
    MetricFacts,
    ObjectFacts,
    ObjectGroup,
    SceneGroup,
    SceneGroups,
    ends_or_none,
)
from iodine_kit.evaluation.mask_size import Resolution
from iodine_kit.evaluation.scene_scores import SceneScores
from iodine_kit.evaluation.scoring import Metrics
from iodine_kit.metrics import RECOVERY_IOU, MetricOptions, MetricPlugin, describe
from iodine_kit.records import Floats64

SHOWN = 10
"""Scenes that are named as the worst and as the best."""
_SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Subject:
    """What was evaluated; see :class:`iodine_kit.evaluation.facts.EvaluationFacts`.

    Attributes:
        resized: what was done to the predicted masks before, a sentence for ``resize``, or "".
    """

    dataset: str
    split: str
    model: str
    slots: int | None
    steps: int | None
    restarts: int
    resized: str = ""


@dataclass(frozen=True)
class Group:
    """Some of the scenes, or of the objects: ``members`` is a mask over them."""

    label: str
    members: NDArray[np.bool_]


def summarise(
    subject: Subject,
    scores: SceneScores,
    metrics: Metrics,
    options: MetricOptions,
    resolution: Resolution,
    resampling: Resampling,
) -> EvaluationFacts:
    """All facts of an evaluation."""
    ignored = scores.ignored
    sentences = {name: describe(metric, options, ignores=ignored is not None) for name, metric in metrics.items()}
    by_objects, by_size = groups_by_objects(scores), groups_by_size(scores)
    of_objects = terciles(scores.table["pixels"], np.ones(len(scores.table["pixels"]), np.bool_))
    everything = Group("all", np.ones(len(scores.keys), np.bool_))
    scenes = [everything, *by_objects, *by_size]
    ends = iter(_all_intervals(scores, scenes, of_objects, resampling))
    whole, *groups = [_scene_group(scores, group, ends) for group in scenes]
    first = next(iter(metrics.values()))
    return EvaluationFacts(
        dataset=subject.dataset,
        split=subject.split,
        model=subject.model,
        scenes=len(scores.keys),
        resolution=resolution.size,
        resize="no masks are compared" if scores.objects is None else subject.resized + resolution.sentence(),
        slots=subject.slots,
        steps=subject.steps,
        restarts=subject.restarts,
        convention=options.convention,
        bootstrap=Bootstrap(
            level=resampling.level, resamples=resampling.resamples, seed=resampling.seed, method=METHOD
        ),
        metrics={
            name: _metric(name, metric, scores, whole.metrics[name], sentences[name], resolution)
            for name, metric in metrics.items()
        },
        groups=SceneGroups(objects=groups[: len(by_objects)], size=groups[len(by_objects) :]),
        objects=ObjectFacts(
            n=len(scores.table["pixels"]),
            by_size=[_object_group(scores, group, next(ends)) for group in of_objects],
        ),
        worst=_ranking(first, scores, best=False),
        best=_ranking(first, scores, best=True),
        **({"unmasked": True} if scores.objects is None else {}),
        **({} if ignored is None else {"ignored_share": float(ignored.mean() / np.prod(resolution.size))}),
    )


def groups_by_objects(scores: SceneScores) -> list[Group]:
    """Scenes by their number of visible objects; none if all have the same number, or if there are no masks."""
    if scores.objects is None:
        return []
    counts = np.unique(scores.objects)
    return [Group(f"{count}", scores.objects == count) for count in counts] if len(counts) > 1 else []


def groups_by_size(scores: SceneScores) -> list[Group]:
    """Scenes by terciles of the median size of their objects; scenes without objects are in no group."""
    if scores.objects is None:
        return []
    size, scene = scores.table["pixels"], scores.table["scene"]
    order = np.lexsort((size, scene))
    of_scene = np.split(size[order], np.cumsum(scores.objects)[:-1])
    medians = np.array([np.median(sizes) if len(sizes) else np.nan for sizes in of_scene])
    return terciles(medians, scores.objects > 0)


def terciles(sizes: NDArray[Any], counted: NDArray[np.bool_]) -> list[Group]:
    """Thirds by size in pixels, smallest first; fewer where sizes are equal, and none if all are."""
    if not counted.any():
        return []
    low, high = (float(bound) for bound in np.quantile(sizes[counted], [1 / 3, 2 / 3]))
    third = np.where(sizes <= low, 0, np.where(sizes <= high, 1, 2))
    spans = (f"up to {low:,.0f} px", f"up to {high:,.0f} px", f"over {high:,.0f} px")
    groups = [Group(f"{_SIZES[i]}, {spans[i]}", (third == i) & counted) for i in range(3)]
    groups = [group for group in groups if group.members.any()]
    return groups if len(groups) > 1 else []


def _all_intervals(
    scores: SceneScores, scenes: list[Group], of_objects: list[Group], resampling: Resampling
) -> list[Ends | None]:
    """Intervals of all metrics of all groups of scenes, then of the IoU of all groups of objects: one bootstrap."""
    scores_NM = np.stack(list(scores.values.values()), 1)
    columns = np.concatenate([np.where(group.members[:, None], scores_NM, np.nan) for group in scenes], 1)
    sums, weights = parts(columns)
    counts, ious = [], []
    for group in of_objects:
        scene = scores.table["scene"][group.members]
        counts.append(np.bincount(scene, minlength=len(scores.keys)).astype(np.float64))
        ious.append(np.bincount(scene, scores.table["iou"][group.members], minlength=len(scores.keys)))
    found = intervals(
        np.column_stack([sums, *ious]), np.column_stack([weights, *counts]),
        resamples=resampling.resamples, level=resampling.level, seed=resampling.seed,
    )  # fmt: skip
    return [ends_or_none(ends) for ends in found]


def _scene_group(scores: SceneScores, group: Group, ends: Iterator[Ends | None]) -> SceneGroup:
    means = {}
    for name, values in scores.values.items():
        defined = values[group.members]
        defined = defined[~np.isnan(defined)]
        mean = float(defined.mean()) if len(defined) else None
        means[name] = GroupMean(mean=mean, interval=next(ends), n=len(defined))
    return SceneGroup(label=group.label, n=int(group.members.sum()), metrics=means)


def _object_group(scores: SceneScores, group: Group, interval: Ends | None) -> ObjectGroup:
    iou = scores.table["iou"][group.members]
    recovered = float((iou >= RECOVERY_IOU).mean())
    mean = Mean(mean=float(iou.mean()), interval=interval)
    return ObjectGroup(label=group.label, n=len(iou), iou=mean, recovered=recovered)


def _metric(
    name: str, metric: MetricPlugin, scores: SceneScores, whole: GroupMean, convention: str, resolution: Resolution
) -> MetricFacts:
    values = scores.values[name]
    defined = values[~np.isnan(values)]
    return MetricFacts(
        title=metric.TITLE,
        unit=metric.UNIT,
        better=metric.BETTER,
        convention=convention,
        resolution=resolution.size if metric.NEEDS is None else resolution.model,
        std=float(defined.std(ddof=1)) if len(defined) > 1 else None,
        median=float(np.median(defined)) if len(defined) else None,
        mean=whole.mean,
        interval=whole.interval,
        n=whole.n,
        undefined=int(np.isnan(values).sum()),
        degenerate=int(scores.degenerate[name].sum()),
        by_step=_by_step(scores.steps.get(name)),
    )


def _by_step(steps: Floats64 | None) -> list[float]:
    """Means after every decode over the scenes that have a score after all of them; empty if there are none."""
    if steps is None:
        return []
    always = steps[~np.isnan(steps).any(1)]
    return [float(mean) for mean in always.mean(0)] if len(always) else []


def _ranking(metric: MetricPlugin, scores: SceneScores, *, best: bool) -> list[str]:
    """Keys of a few scenes by the first metric, the worst or the best first; the earlier one first if equal."""
    values = next(iter(scores.values.values()))
    ascending = (metric.BETTER == "higher") != best
    order = np.argsort(values if ascending else -values, kind="stable")
    return [scores.keys[i] for i in order if not np.isnan(values[i])][:SHOWN]
