"""All facts of a probe: what the latents of slots reveal about objects, and which slots are in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iodine_kit.evaluation.bootstrap import METHOD, Resampling
from iodine_kit.evaluation.facts import number_or_none
from iodine_kit.evaluation.probing import slots
from iodine_kit.evaluation.probing.conventions import conventions
from iodine_kit.evaluation.probing.estimators import WORDS, Probe
from iodine_kit.evaluation.probing.factors import Factor
from iodine_kit.evaluation.probing.facts import DciFacts, FactorFacts, ProbeBootstrap, ProbeFacts
from iodine_kit.evaluation.probing.objects import Objects
from iodine_kit.evaluation.probing.prediction import CrossValidation, Predicted, baselines, predict
from iodine_kit.evaluation.probing.scores import dci, score, scores
from iodine_kit.progress import Reporter

PROBES: tuple[Probe, ...] = ("linear", "mlp")


@dataclass(frozen=True, eq=False)
class Subject:
    """What is probed: objects of a split of a data set, the slots of their scenes, and the factors to predict.

    Attributes:
        left_out: why a factor is not predicted, by name.
    """

    dataset: str
    split: str
    objects: Objects
    slots: list[slots.SlotTable]
    factors: Sequence[Factor]
    left_out: Mapping[str, str]


def summarise(subject: Subject, validation: CrossValidation, resampling: Resampling, reporter: Reporter) -> ProbeFacts:
    """Train and test all probes, and state how; the slowest part of a probe."""
    objects, factors = subject.objects, subject.factors
    by_mask = CrossValidation(validation.folds, validation.seed)
    with reporter.track("probe", validation.folds * (len(PROBES) + 1)) as advance:
        predicted = {probe: predict(probe, objects, factors, validation, advance) for probe in PROBES}
        forest = predict("forest", objects, factors, by_mask, advance)
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
        dci=_dci(forest, factors),
        slots=slots.describe(subject.slots),
        left_out=dict(subject.left_out),
        conventions=conventions(validation, resampling),
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
