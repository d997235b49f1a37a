"""The choices that metrics leave to whoever evaluates, and the sentence that states each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Convention = Literal["deepmind", "emorl", "ones", "exclude"]

DEGENERATE: dict[Convention, str] = {
    "deepmind": "1 if all pixels of the image have one true id and lie in one slot, as by DeepMind's function (where "
    "the background is ignored, its pixels have the first entity's id), else nothing: it is left out, so a single "
    "object kept whole is left out too unless its slot holds the whole image",
    "emorl": "1, but 0 if it has no pixel to compare, as in EfficientMORL",
    "ones": "1, even if it has no pixel to compare, as in SAVi, OCLF and VideoSAUR",
    "exclude": "1, but is left out if it has no pixel to compare: whether a scene counts depends on the truth alone",
}
"""What a scene scores whose adjusted Rand index is 0/0."""


@dataclass(frozen=True)
class Rules:
    """What one may choose about metrics; part of an evaluation's key.

    Attributes:
        convention: what a scene scores whose adjusted Rand index is 0/0; a key of :data:`DEGENERATE`.
        tolerance: how far apart two boundaries may be and still agree, as a share of the image's diagonal (DAVIS).
    """

    convention: Convention = "exclude"
    tolerance: float = 0.008
