"""The results of a probe, as typed records for JSON; see :mod:`iodine_kit.evaluation.facts`."""

from __future__ import annotations

from typing import Literal

from iodine_kit.evaluation.facts import Ends, ResultFacts


class Score(ResultFacts):
    """R² or accuracy of a probe, with its interval."""

    score: float
    interval: Ends | None


class FactorFacts(ResultFacts):
    """How well one factor of ``n`` objects is predicted: numbers by R², classes by accuracy."""

    kind: Literal["number", "class"]
    score: Literal["r2", "accuracy"]
    n: int
    classes: int = 0
    baseline: float
    linear: Score
    mlp: Score


class DciFacts(ResultFacts):
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018).

    Attributes:
        importance: of every latent dimension for every one of ``factors``.
    """

    model: str
    disentanglement: float | None
    completeness: float | None
    informativeness: dict[str, float]
    importance: list[list[float]]
    factors: list[str]


class SlotFacts(ResultFacts):
    """Which slots are in use, see :mod:`iodine_kit.evaluation.probing.slots`.

    Attributes:
        active_counts, telling_counts: scenes by number of slots that own a pixel, or whose KL is above 1 nat.
        kl_per_slot, owned_share: means over scenes, the slots of each scene sorted from the largest to the smallest.
    """

    active_mean: float
    active_counts: dict[str, int]
    telling_mean: float
    telling_counts: dict[str, int]
    kl_per_slot: list[float]
    owned_share: list[float]


class ProbeBootstrap(ResultFacts):
    """As :class:`Bootstrap`, in the order of a probe's file."""

    resamples: int
    level: float
    seed: int
    method: str


class ProbeFacts(ResultFacts):
    """``summary.json`` of a probe.

    Attributes:
        unmatched: objects without a slot.
        latents: dimensions of a slot.
        agreement: with a match by loss, the share of objects whose slot is the one that the masks give, by probe.
        left_out: why a factor is not predicted.
    """

    dataset: str
    split: str
    scenes: int
    folds: int
    seed: int
    bootstrap: ProbeBootstrap
    objects: int
    unmatched: int
    latents: int
    matching: Literal["mask", "loss"]
    agreement: dict[str, float] = {}
    factors: dict[str, FactorFacts]
    dci: DciFacts
    slots: SlotFacts
    left_out: dict[str, str]
    conventions: dict[str, str]
