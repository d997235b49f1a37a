"""From scores per scene to the figures of ``summary.json``, with intervals, by group, and the scenes to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation.bootstrap import METHOD, intervals, parts
from iodine_kit.evaluation.config import EvalConfig, Metrics
from iodine_kit.evaluation.resolution import Resolution
from iodine_kit.evaluation.scoring import Scored
from iodine_kit.metrics import MetricPlugin, describe
from iodine_kit.metrics.recovery import THRESHOLD
from iodine_kit.records import Floats64

SHOWN = 10
_SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Group:
    """Some of the scenes, or of the objects: ``members`` is a mask over them."""

    label: str
    members: NDArray[np.bool_]


def summarise(config: EvalConfig, metrics: Metrics, resolution: Resolution, scored: Scored) -> dict[str, Any]:
    """Everything of an evaluation's facts that comes from scores."""
    by_objects, by_size = groups_by_objects(scored), groups_by_size(scored)
    of_objects = terciles(scored.table["pixels"], np.ones(len(scored.table["pixels"]), np.bool_))
    scenes = [Group("all", np.ones(len(scored.keys), np.bool_)), *by_objects, *by_size]
    ends = iter(_all_intervals(config, scored, scenes, of_objects))
    measured = [{name: _mean(scored.values[name][group.members], next(ends)) for name in metrics} for group in scenes]
    objects = [_object_group(scored, group, next(ends)) for group in of_objects]
    entries = [{"label": group.label, "n": int(group.members.sum()), "metrics": figures}
               for group, figures in zip(scenes, measured, strict=True)]  # fmt: skip
    rules = config.rules
    first = next(iter(metrics.values()))
    return {
        "convention": config.convention,
        "bootstrap": {
            "level": config.level, "resamples": config.resamples, "seed": config.seed, "method": METHOD,
        },
        "metrics": {
            name: {
                "title": metric.TITLE,
                "unit": metric.UNIT,
                "better": metric.BETTER,
                "convention": describe(metric, rules),
                "resolution": list(resolution.size if metric.NEEDS is None else resolution.model),
                **_spread(scored.values[name]),
                **measured[0][name],
                "undefined": int(np.isnan(scored.values[name]).sum()),
                "degenerate": int(scored.degenerate[name].sum()),
                "by_step": _by_step(scored.steps.get(name)),
            }
            for name, metric in metrics.items()
        },
        "groups": {"objects": entries[1 : 1 + len(by_objects)], "size": entries[1 + len(by_objects) :]},
        "objects": {"n": len(scored.table["pixels"]), "by_size": objects},
        "worst": _ranking(first, scored, best=False),
        "best": _ranking(first, scored, best=True),
    }  # fmt: skip


def groups_by_objects(scored: Scored) -> list[Group]:
    """Scenes by their number of visible objects; none if all have the same."""
    counts = np.unique(scored.objects)
    return [Group(f"{count}", scored.objects == count) for count in counts] if len(counts) > 1 else []


def groups_by_size(scored: Scored) -> list[Group]:
    """Scenes by terciles of the median size of their objects; scenes without objects belong to none."""
    size, scene = scored.table["pixels"], scored.table["scene"]
    order = np.lexsort((size, scene))
    of_scene = np.split(size[order], np.cumsum(scored.objects)[:-1])
    medians = np.array([np.median(sizes) if len(sizes) else np.nan for sizes in of_scene])
    return terciles(medians, scored.objects > 0)


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
    config: EvalConfig, scored: Scored, scenes: list[Group], of_objects: list[Group]
) -> list[list[float] | None]:
    """Intervals of all metrics of all groups of scenes, then of the IoU of all groups of objects: one bootstrap."""
    scores_NM = np.stack(list(scored.values.values()), 1)
    columns = np.concatenate([np.where(group.members[:, None], scores_NM, np.nan) for group in scenes], 1)
    sums, weights = parts(columns)
    counts, ious = [], []
    for group in of_objects:
        scene = scored.table["scene"][group.members]
        counts.append(np.bincount(scene, minlength=len(scored.keys)).astype(np.float64))
        ious.append(np.bincount(scene, scored.table["iou"][group.members], minlength=len(scored.keys)))
    found = intervals(
        np.column_stack([sums, *ious]), np.column_stack([weights, *counts]),
        resamples=config.resamples, level=config.level, seed=config.seed,
    )  # fmt: skip
    return [None if np.isnan(ends).any() else [float(end) for end in ends] for ends in found]


def _object_group(scored: Scored, group: Group, interval: list[float] | None) -> dict[str, Any]:
    iou = scored.table["iou"][group.members]
    figures = {"mean": float(iou.mean()), "interval": interval}
    return {"label": group.label, "n": len(iou), "iou": figures, "recovered": float((iou >= THRESHOLD).mean())}


def _mean(scores: Floats64, interval: list[float] | None) -> dict[str, Any]:
    defined = scores[~np.isnan(scores)]
    return {"mean": float(defined.mean()) if len(defined) else None, "interval": interval, "n": len(defined)}


def _spread(scores: Floats64) -> dict[str, Any]:
    defined = scores[~np.isnan(scores)]
    return {
        "std": float(defined.std(ddof=1)) if len(defined) > 1 else None,
        "median": float(np.median(defined)) if len(defined) else None,
    }


def _by_step(steps: Floats64 | None) -> list[float]:
    """Means after every decode over the scenes that have a score after all of them; empty if there are none."""
    if steps is None:
        return []
    always = steps[~np.isnan(steps).any(1)]
    return [float(mean) for mean in always.mean(0)] if len(always) else []


def _ranking(metric: MetricPlugin, scored: Scored, *, best: bool) -> list[str]:
    """Keys of a few scenes by the first metric, the worst or the best first; the earlier one first if equal."""
    values = next(iter(scored.values.values()))
    ascending = (metric.BETTER == "higher") != best
    order = np.argsort(values if ascending else -values, kind="stable")
    return [scored.keys[i] for i in order if not np.isnan(values[i])][:SHOWN]
