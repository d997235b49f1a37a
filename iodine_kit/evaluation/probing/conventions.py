"""What the numbers of a probe mean, in sentences that are stored with them."""

from __future__ import annotations

from iodine_kit.evaluation.bootstrap import METHOD, Resampling
from iodine_kit.evaluation.probing import factors, slots
from iodine_kit.evaluation.probing.estimators import WORDS
from iodine_kit.evaluation.probing.prediction import CrossValidation

_MASK = "Each visible object is matched to one slot so that the sum of intersections over union is largest"


def conventions(validation: CrossValidation, resampling: Resampling) -> dict[str, str]:
    """A sentence for each choice that others might make differently."""
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
    }


def _matching(validation: CrossValidation) -> str:
    if validation.match == "mask":
        return f"{_MASK}; one that would share no pixel with its slot has none"
    return (
        f"By the probe's own loss: trained on a match by mask, then {validation.rounds} times the training objects are "
        "matched again to the slots of least loss and the probe is trained again; test objects are matched by least "
        "loss too, with their true factors, which flatters: compare only with others matched by loss"
    )
