"""All facts of a probe: what the latents of slots reveal about objects, and which slots are in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iodine_kit.evaluation.bootstrap import METHOD, Resampling
from iodine_kit.evaluation.facts import number_or_none
from iodine_kit.evaluation.probing import factors, slots
from iodine_kit.evaluation.probing.estimators import WORDS, Probe
from iodine_kit.evaluation.probing.factors import Factor
from iodine_kit.evaluation.probing.facts import DciFacts, FactorFacts, ProbeBootstrap, ProbeFacts
from iodine_kit.evaluation.probing.objects import Objects
from iodine_kit.evaluation.probing.prediction import CrossValidation, Predicted, baselines
from iodine_kit.evaluation.probing.scores import dci, score, scores

PROBES: tuple[Probe, ...] = ("linear", "mlp")
FITTED: tuple[Probe, ...] = (*PROBES, "forest")
"""All kinds of probes that are trained, each once per fold."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is probed: objects of a split of a data set, the slots of their scenes, and the factors to predict.

    Attributes:
        left_out: why a factor is not predicted, by name.
        ignores: whether the data set has pixels to ignore.
    """

    dataset: str
    split: str
    objects: Objects
    slots: list[slots.SlotTable]
    factors: Sequence[Factor]
    left_out: Mapping[str, str]
    ignores: bool = False


def summarise(
    subject: Subject, validation: CrossValidation, resampling: Resampling, predictions: Mapping[Probe, Predicted]
) -> ProbeFacts:
    """Score the predictions of all :data:`FITTED` probes, and state how they were made."""
    objects, factors = subject.objects, subject.factors
    predicted = {probe: predictions[probe] for probe in PROBES}
    agreement = {probe: float(np.mean(one.slot_M == objects.slot_M)) for probe, one in predicted.items()}
    return ProbeFacts(
        dataset=subject.dataset,
        split=subject.split,
        scenes=len(objects.loc_NKZ),
        folds=validation.folds,
        seed=validation.seed,
        bootstrap=ProbeBootstrap(
            resamples=resampling.resamples, level=resampling.level, seed=resampling.seed, method=METHOD
        ),
        objects=len(objects),
        unmatched=int((objects.slot_M < 0).sum()),
        latents=objects.loc_NKZ.shape[2],
        matching=validation.match,
        factors=_factors(objects, factors, predicted, validation, resampling),
        dci=_dci(predictions["forest"], factors),
        slots=slots.describe(subject.slots),
        left_out=dict(subject.left_out),
        conventions=conventions(validation, resampling, ignores=subject.ignores),
        **({} if validation.match == "mask" else {"agreement": agreement}),
    )


def _factors(
    objects: Objects,
    factors: Sequence[Factor],
    predicted: Mapping[Probe, Predicted],
    validation: CrossValidation,
    resampling: Resampling,
) -> dict[str, FactorFacts]:
    base = baselines(objects, factors, validation.folds)
    pairs = [(factor, predicted[probe].values[factor.name]) for factor in factors for probe in PROBES]
    found = iter(scores(pairs, objects.scene_M, resampling))
    return {
        factor.name: FactorFacts(
            kind=factor.kind,
            score="r2" if factor.kind == "number" else "accuracy",
            n=len(objects),
            baseline=score(factor, base[factor.name]),
            linear=next(found),
            mlp=next(found),
            **({"classes": factor.classes} if factor.kind == "class" else {}),
        )
        for factor in factors
    }


def _dci(forest: Predicted, factors: Sequence[Factor]) -> DciFacts:
    assert forest.importance_ZF is not None
    found = dci(forest.importance_ZF)
    return DciFacts(
        model=WORDS["forest"],
        disentanglement=number_or_none(found.disentanglement),
        completeness=number_or_none(found.completeness),
        informativeness={factor.name: score(factor, forest.values[factor.name]) for factor in factors},
        importance=forest.importance_ZF.tolist(),
        factors=[factor.name for factor in factors],
    )


_MASK = "Each visible object is matched to one slot so that the sum of intersections over union is largest"
_IGNORED = "Pixels to ignore belong to no object, and to no slot that is matched to one; shares of slots count them"


def conventions(validation: CrossValidation, resampling: Resampling, *, ignores: bool = False) -> dict[str, str]:
    """A sentence for each choice that others might make differently; ``ignores``: also on pixels to ignore."""
    drawn = f"{METHOD}: {resampling.resamples:,} resamples, seed {resampling.seed}"
    spread = (
        f"{100 * resampling.level:g} % intervals by {drawn}; the probes are not trained again"
        if resampling.resamples
        else "None were asked for"
    )
    return {
        "objects": "Only true objects that own a pixel count: no padding of scenes, no background, no slot that is "
        "matched to nothing",
        "matching": _matching(validation),
        "unmatched": "An object without a slot is predicted by the baseline and counts like any other",
        "factors": factors.CONVENTION + "; factors that are the same for all objects are omitted",
        "inputs": "The posterior means of the object's slot, standardised by the training objects",
        "folds": f"{validation.folds} folds of scenes: no scene trains and tests the same probe; scores are of all "
        "objects at once, each predicted by probes that never saw its scene",
        "score": "R² of numbers, 1 − Σ(y − ŷ)² / Σ(y − ȳ)², with ȳ the mean of all objects; accuracy of classes",
        "baseline": "The training objects' mean, or their most frequent class",
        "linear": WORDS["linear"],
        "mlp": WORDS["mlp"],
        "intervals": spread,
        "dci": "Eastwood & Williams 2018, with impurity importances of a "
        + WORDS["forest"]
        + ", mean over folds, of slots "
        "matched by mask; a dimension counts by the sum of its importances; informativeness is the forest's score",
        "slots": f"Active: owns a pixel after the arg max over slots; telling: KL from the standard normal prior above "
        f"{slots.NATS:g} nat; slots are sorted within each scene, the largest first, before means are taken",
        **({"ignored": _IGNORED} if ignores else {}),
    }


def _matching(validation: CrossValidation) -> str:
    if validation.match == "mask":
        return f"{_MASK}; one that would share no pixel with its slot has none"
    return (
        f"By the probe's own loss: trained on a match by mask, then {validation.rounds} times the training objects are "
        "matched again to the slots of least loss and the probe is trained again; test objects are matched by least "
        "loss too, with their true factors, which flatters: compare only with others matched by loss"
    )
