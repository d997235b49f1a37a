"""The choices that metrics leave open, the sentences that state them, and which slots are detections of objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from iodine_kit.metrics import MetricPlugin
    from iodine_kit.metrics._comparison import Comparison

HARD = "Masks are hard: each pixel is of the slot with the largest mask (lowest index in a tie)."
OBJECT = "An object is a true entity other than background that has at least one pixel."
ENTITY = (
    "An entity is an object or the background (all of its indices merged) if it has at least one pixel; the last "
    "entity and the last slot count like all others, which some public evaluators omit."
)
MATCHED = (
    "Matched: one slot at most for each object and one object for each slot, such that the sum of IoUs over all "
    "pixels is largest (Hungarian; among equal sums any), slots on the background included; one without a common "
    "pixel is none."
)
UNDEFINED = "A scene without objects is undefined and omitted."
IGNORED = (
    "Pixels to ignore belong to no entity and to no slot; a scene that has such pixels and no object in the others is "
    "undefined and omitted."
)
"""What is said of a metric of masks where some pixels are ignored."""
IGNORED_LIKELIHOOD = "Pixels to ignore count like all others: the model explains the whole image."
RECOVERY_IOU = 0.5
"""IoU with its slot at which an object counts as recovered."""
DETECTION = "A slot is a detection unless it has no pixel or more than half of its pixels are true background."

Convention = Literal["deepmind", "emorl", "ones", "exclude"]

DEGENERATE: dict[Convention, str] = {
    "deepmind": "1 if all pixels of the image have one true id and lie in one slot, as by DeepMind's function (where "
    "the background is ignored, its pixels have the first entity's id), else nothing: it is omitted, so a single "
    "object kept whole is omitted too unless its slot holds the whole image",
    "emorl": "1, but 0 if it has no pixel to compare, as in EfficientMORL",
    "ones": "1, even if it has no pixel to compare, as in SAVi, OCLF and VideoSAUR",
    "exclude": "1, but is omitted if it has no pixel to compare: whether a scene counts depends on the truth alone",
}
"""Score of a scene whose adjusted Rand index is 0/0, as a sentence."""


@dataclass(frozen=True)
class MetricOptions:
    """Choices that metrics leave open; part of an evaluation's key.

    Attributes:
        convention: score of a scene whose adjusted Rand index is 0/0; a key of :data:`DEGENERATE`.
        tolerance: largest distance of matching boundaries, as a share of the image's diagonal (DAVIS).
    """

    convention: Convention = "exclude"
    tolerance: float = 0.008


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of some scenes.

    Attributes:
        values: ``float64[B]``; NaN where the metric is undefined.
        degenerate: ``bool[B]``, where a convention decided because the formula is 0/0; ``None`` if that cannot happen.
    """

    values: NDArray[np.float64]
    degenerate: NDArray[np.bool_] | None = None


def weighted_mean(values_BN: NDArray[np.float64], weights_BN: NDArray[np.int64] | NDArray[np.bool_]) -> Scores:
    """Σ weight · value / Σ weight of every scene; undefined where all weights are 0. Values of weight 0 may be NaN."""
    total_B = weights_BN.sum(1)
    sum_B = np.where(weights_BN > 0, values_BN * weights_BN, 0.0).sum(1)
    return Scores(np.where(total_B > 0, sum_B / np.maximum(total_B, 1), np.nan))


_MASKLESS = ("reconstruction", "elbo", "nll", "kl")
"""Fields of predictions that are compared with the image, or are scores themselves."""


def needs_masks(plugin: MetricPlugin) -> bool:
    """Whether a metric needs true masks.

    Metrics of a reconstruction and of the ELBO and its terms do not; all others do. A metric for which this rule is
    wrong, such as the error of the reconstruction in the foreground, defines ``NEEDS_MASKS`` as a constant.
    """
    return bool(getattr(plugin, "NEEDS_MASKS", plugin.NEEDS not in _MASKLESS))


def detections(comparison: Comparison) -> NDArray[np.bool_]:
    """Which slots are detections, ``bool[B, K]``; the rule is :data:`DETECTION`."""
    slot_pixels_BK = comparison.slot_pixels_BK
    detected: NDArray[np.bool_] = (slot_pixels_BK > 0) & (2 * comparison.table_BNK[:, 0] <= slot_pixels_BK)
    return detected


def right(comparison: Comparison, found_BK: NDArray[np.bool_], twentieths: int) -> NDArray[np.float64]:
    """True positives: the most pairs of an object and a detection with an IoU ≥ twentieths/20 ≥ 1/2, none twice.

    Masks exclude each other. So IoUs above 1/2 pair one object with one detection, and of exactly 1/2 an object may
    have two detections, or a detection two objects, but never both: those are stars, of which each holds one pair.
    """
    possible_BNK = comparison.objects_BN[:, :, None] & found_BK[:, None]
    pair_BNK = possible_BNK & (20 * comparison.table_BNK >= twentieths * comparison.union_BNK)  # exact, in integers
    of_object, of_slot = pair_BNK.sum(2, keepdims=True), pair_BNK.sum(1, keepdims=True)
    share_BNK = pair_BNK / np.maximum(np.maximum(of_object, of_slot), 1)
    result: NDArray[np.float64] = share_BNK.sum((1, 2))
    return result
