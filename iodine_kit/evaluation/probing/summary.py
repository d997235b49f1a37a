"""Everything that is found out about a representation, as one summary for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from iodine_kit.evaluation.probing.dci import dci
from iodine_kit.evaluation.probing.estimators import WORDS, Probe
from iodine_kit.evaluation.probing.factors import Factor
from iodine_kit.evaluation.probing.objects import Objects
from iodine_kit.evaluation.probing.prediction import Course, Predicted, baselines, predict
from iodine_kit.evaluation.probing.scores import Drawing, Score, score, scores
from iodine_kit.progress import Reporter

PROBES: tuple[Probe, ...] = ("linear", "mlp")


def summarise(
    objects: Objects, factors: Sequence[Factor], course: Course, drawing: Drawing, reporter: Reporter
) -> dict[str, Any]:
    """``objects``, ``matching``, ``factors`` and ``dci`` of a summary; see the stage for what they hold."""
    by_mask = Course(course.folds, course.seed)
    with reporter.track("probe", course.folds * (len(PROBES) + 1)) as advance:
        told = {probe: predict(probe, objects, factors, course, advance) for probe in PROBES}
        forest = predict("forest", objects, factors, by_mask, advance)
    base = baselines(objects, factors, course.folds)
    pairs = [(factor, told[probe].values[factor.name]) for factor in factors for probe in PROBES]
    found = iter(scores(pairs, objects.scene_M, drawing))
    return {
        "objects": len(objects),
        "unmatched": int((objects.slot_M < 0).sum()),
        "latents": objects.loc_NKZ.shape[2],
        "matching": course.match,
        **_agreement(objects, told, course),
        "factors": {
            factor.name: {
                "kind": factor.kind,
                "score": "r2" if factor.kind == "number" else "accuracy",
                "n": len(objects),
                **({"classes": factor.classes} if factor.kind == "class" else {}),
                "baseline": score(factor, base[factor.name]),
                **{probe: _figures(next(found)) for probe in PROBES},
            }
            for factor in factors
        },
        "dci": _dci(forest, factors),
    }


def _agreement(objects: Objects, told: dict[Probe, Predicted], course: Course) -> dict[str, Any]:
    """Of a match by loss, the share of objects whose slot is the one that masks say, by probe."""
    if course.match == "mask":
        return {}
    shares = {probe: float(np.mean(predicted.slot_M == objects.slot_M)) for probe, predicted in told.items()}
    return {"agreement": shares}


def _figures(found: Score) -> dict[str, Any]:
    return {"score": found.score, "interval": None if found.interval is None else list(found.interval)}


def _dci(forest: Predicted, factors: Sequence[Factor]) -> dict[str, Any]:
    assert forest.importance_ZF is not None
    figures = dci(forest.importance_ZF)
    return {
        "model": WORDS["forest"],
        "disentanglement": _or_none(figures.disentanglement),
        "completeness": _or_none(figures.completeness),
        "informativeness": {factor.name: score(factor, forest.values[factor.name]) for factor in factors},
        "importance": forest.importance_ZF.tolist(),
        "factors": [factor.name for factor in factors],
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
