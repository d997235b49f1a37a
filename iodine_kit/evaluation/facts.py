"""The results of evaluations and comparisons, as typed records that are written and read as JSON.

Means and intervals are ``None`` where they are undefined: JSON has no NaN. Fields are in the order of the files.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Ends = tuple[float, float]
"""Low and high end of an interval."""
Better = Literal["higher", "lower"]


class ResultFacts(BaseModel):
    """Base of all records: frozen, without unknown fields; a field that was not given stays out of the JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, texts and numbers, in the order of the fields."""
        return self.model_dump(mode="json", exclude_unset=True)


class Bootstrap(ResultFacts):
    """How intervals were drawn: see :mod:`iodine_kit.evaluation.bootstrap`. Without resamples there are none."""

    level: float
    resamples: int
    seed: int
    method: str


class Mean(ResultFacts):
    """A mean with its interval."""

    mean: float | None
    interval: Ends | None


class GroupMean(Mean):
    """A metric's mean over the ``n`` scenes of a group that have a score."""

    n: int


class MetricDescription(ResultFacts):
    """What a metric is, and the height and width at which it was scored."""

    title: str
    unit: str
    better: Better
    convention: str
    resolution: tuple[int, int]


class MetricFacts(MetricDescription):
    """A metric over the scenes of a split.

    Attributes:
        std, median, mean, interval: over the ``n`` scenes that have a score.
        undefined: scenes without a score.
        degenerate: scenes whose score a convention decided.
        by_step: mean after every decode over the scenes that always have a score; empty if it was not scored by step.
    """

    std: float | None
    median: float | None
    mean: float | None
    interval: Ends | None
    n: int
    undefined: int
    degenerate: int
    by_step: list[float]


class SceneGroup(ResultFacts):
    """The means of ``n`` scenes that have something in common, by metric."""

    label: str
    n: int
    metrics: dict[str, GroupMean]


class SceneGroups(ResultFacts):
    """Scenes by their number of visible objects, and by the median size of their objects; empty if all are alike."""

    objects: list[SceneGroup]
    size: list[SceneGroup]


class ObjectGroup(ResultFacts):
    """``n`` objects of similar size: IoU with the matched slot, and the share of objects that are recovered."""

    label: str
    n: int
    iou: Mean
    recovered: float


class ObjectFacts(ResultFacts):
    """All ``n`` visible objects, and by size."""

    n: int
    by_size: list[ObjectGroup]


class EvaluationFacts(ResultFacts):
    """``summary.json`` of an evaluation.

    Attributes:
        model: name of the model if the predictions name one, else "".
        resolution: height and width at which masks were compared; ``resize`` says how they were resized.
        slots, steps: K and T at test time, if known.
        restarts: inferences per scene, of which the one with the lowest loss was kept.
        convention: score of a scene whose adjusted Rand index is 0/0.
        worst, best: keys of scenes by the first metric.
        unmasked: whether the scenes have no true masks, so that nothing was compared with masks.
        ignored_share: share of the pixels of true masks that are ignored, 0…1; ``None`` if the data set has none.
    """

    dataset: str
    split: str
    model: str
    scenes: int
    resolution: tuple[int, int]
    resize: str
    slots: int | None
    steps: int | None
    restarts: int
    convention: str
    bootstrap: Bootstrap
    metrics: dict[str, MetricFacts]
    groups: SceneGroups
    objects: ObjectFacts
    worst: list[str]
    best: list[str]
    unmasked: bool = False
    ignored_share: float | None = None

    @property
    def remark(self) -> str:
        """What readers must know about the true masks, as a sentence; "" if they show objects."""
        if self.unmasked:
            return "The scenes have no true masks, so metrics that need them are omitted."
        if self.objects.n == 0:
            return (
                "No true mask shows an object, so metrics of masks compare the predictions with background alone; a "
                "high score says nothing about segmentation."
            )
        return ""


class PermutationTest(ResultFacts):
    """How p-values were computed: see :mod:`iodine_kit.evaluation.comparison`."""

    method: str
    flips: int
    seed: int

    @property
    def smallest(self) -> float:
        """The smallest p-value that so many random flips of signs can give."""
        return 1 / (self.flips + 1)


class ModelMean(ResultFacts):
    """A model's mean over seeds of the means over scenes.

    Attributes:
        sd: standard deviation over seeds, if there are several.
        interval: over scenes.
        n: scenes with a score, the least over seeds.
    """

    mean: float | None
    sd: float | None
    interval: Ends | None
    n: int
    by_seed: list[float | None]


class ModelFacts(ResultFacts):
    """A model of a comparison: its evaluations, one per seed of training, and its means by metric."""

    name: str
    evaluations: list[str]
    seeds: list[int | None]
    resize: str
    metrics: dict[str, ModelMean]


class Difference(ResultFacts):
    """How model b differs from model a over the ``n`` scenes on which both have a score.

    Attributes:
        difference: mean of b's score minus a's; ``p`` of the test that its sign is chance.
        better, worse, equal: number of scenes on which b is better than a, worse, or equal.
    """

    difference: float | None
    interval: Ends | None
    p: float | None
    better: int
    worse: int
    equal: int
    n: int


class PairFacts(ResultFacts):
    """Model b compared with model a, by metric."""

    a: str
    b: str
    metrics: dict[str, Difference]


class ComparisonFacts(ResultFacts):
    """``summary.json`` of a comparison; ``pairs`` compare every model with the first."""

    dataset: str
    split: str
    scenes: int
    resolution: tuple[int, int]
    convention: str
    bootstrap: Bootstrap
    test: PermutationTest
    metrics: dict[str, MetricDescription]
    models: list[ModelFacts]
    pairs: list[PairFacts]
    left_out: dict[str, str]


def number_or_none(value: float | np.floating[Any]) -> float | None:
    """A number for JSON: ``None`` for NaN."""
    return None if np.isnan(value) else float(value)


def ends_or_none(ends: NDArray[np.float64]) -> Ends | None:
    """Both ends of an interval for JSON: ``None`` if either is NaN."""
    return None if np.isnan(ends).any() else (float(ends[0]), float(ends[1]))
