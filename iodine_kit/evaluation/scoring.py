"""From pairs of predicted and true masks to scores per scene and a row per object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from iodine_kit.artifacts.pairs import Pairs, batch_size
from iodine_kit.errors import SchemaError
from iodine_kit.evaluation.config import Metrics
from iodine_kit.evaluation.resolution import Resolution
from iodine_kit.formats import Reader
from iodine_kit.metrics import Comparison, MetricOptions, MetricPlugin, Scores
from iodine_kit.progress import Advance
from iodine_kit.records import Array, Floats64, PredictionBatch, SceneBatch

OBJECT_COLUMNS = ("scene", "entity", "pixels", "slot", "iou", "best_iou")


@dataclass(frozen=True)
class Truth:
    """Where true masks come from: ``scenes`` in the order of the predictions, and what is background in them."""

    scenes: Reader
    background: tuple[int, ...]


@dataclass
class Scored:
    """Everything that was found out, scene by scene; its size does not depend on that of the images.

    Attributes:
        keys: of the N scenes.
        objects, foreground: visible objects, and their pixels together, ``int64[N]``.
        values: scores by metric, ``float64[N]``; NaN is undefined.
        degenerate: by metric, ``bool[N]``, where a convention decided.
        steps: scores after every decode of the metrics that are scored by step, ``float64[N, T+1]``.
        table: columns of :data:`OBJECT_COLUMNS`, a row per visible object; ``scene`` is the number of its scene.
    """

    keys: list[str]
    objects: NDArray[np.int64]
    foreground: NDArray[np.int64]
    values: dict[str, Floats64]
    degenerate: dict[str, NDArray[np.bool_]]
    steps: dict[str, Floats64]
    table: dict[str, Array]


@dataclass
class Scorer:
    """Scores batch after batch.

    Attributes:
        metrics: those that need masks alone are scored at the evaluation's resolution, all others at the model's.
        resolution: how masks come to the first.
        truth: of another preparation; ``None`` takes the one that the predictions were made for.
        device: where images are filtered.
    """

    metrics: Metrics
    rules: MetricOptions
    resolution: Resolution
    truth: Truth | None = None
    device: str = "cpu"
    _columns: dict[tuple[str, ...], list[Array]] = field(default_factory=lambda: defaultdict(list))
    _keys: list[str] = field(default_factory=list)

    def run(self, pairs: Pairs, advance: Advance) -> Scored:
        """Score all pairs; memory for pixels is that of one batch."""
        fields = self.resolution.needs | {metric.NEEDS for metric in self.metrics.values() if metric.NEEDS}
        if any(metric.BY_STEP for metric in self.metrics.values()):
            fields.add("step_mask")
        sizes = (self.resolution.model, self.resolution.size, self.resolution.truth)
        for own, prediction in pairs.batches(batch_size(max(height * width for height, width in sizes)), fields):
            self._score(pairs, own, prediction)
            advance(len(own))
        return self._scored()

    def _score(self, pairs: Pairs, own: SceneBatch, prediction: PredictionBatch) -> None:
        as_predicted = Comparison(own, prediction, pairs.info.background, self.rules, self.device)
        elsewhere = self.resolution.resizes or self.truth is not None
        of_masks = self._at_resolution(pairs, own, prediction) if elsewhere else as_predicted
        self._describe(of_masks)
        self._keys += own.keys
        _refuse_not_finite({metric.NEEDS for metric in self.metrics.values() if metric.NEEDS}, prediction, pairs)
        for name, metric in self.metrics.items():
            comparison = of_masks if metric.NEEDS is None else as_predicted
            scores = metric.score(comparison)
            self._add(np.where(np.isfinite(scores.values), scores.values, np.nan), "values", name)
            self._add(_degenerate(scores), "degenerate", name)
            if metric.BY_STEP and prediction.step_mask is not None:
                self._add(_by_step(metric, comparison), "steps", name)

    def _at_resolution(self, pairs: Pairs, own: SceneBatch, prediction: PredictionBatch) -> Comparison:
        truth, background = own, pairs.info.background
        if self.truth is not None:
            first = len(self._keys)
            truth = self.truth.scenes.batch(range(first, first + len(own)))
            background = self.truth.background
        resized = self.resolution.predicted(prediction, pairs.path)
        return Comparison(self.resolution.true(truth), resized, background, self.rules, self.device)

    def _describe(self, comparison: Comparison) -> None:
        """Objects of a batch, and what became of each."""
        scene, row = np.nonzero(comparison.objects_BN)
        self._add(comparison.object_counts_B, "objects")
        self._add(np.where(comparison.objects_BN, comparison.pixels_BN, 0).sum(1), "foreground")
        self._add(scene + len(self._keys), "table", "scene")
        self._add(row - 1, "table", "entity")
        self._add(comparison.pixels_BN[scene, row], "table", "pixels")
        self._add(comparison.match_BN[scene, row], "table", "slot")
        self._add(comparison.matched_iou_BN[scene, row], "table", "iou")
        self._add(comparison.best_iou_BN[scene, row], "table", "best_iou")

    def _add(self, column: Array, *names: str) -> None:
        self._columns[names].append(column)

    def _scored(self) -> Scored:
        columns = {names: np.concatenate(parts) for names, parts in self._columns.items()}

        def group(name: str) -> dict[str, Array]:
            return {names[1]: column for names, column in columns.items() if names[0] == name}

        return Scored(
            self._keys, columns[("objects",)], columns[("foreground",)],
            group("values"), group("degenerate"), group("steps"), group("table"),
        )  # fmt: skip


def _refuse_not_finite(fields: Collection[str], prediction: PredictionBatch, pairs: Pairs) -> None:
    """A model that broke on some scenes must not be scored on the others as if those were none."""
    for name in sorted(fields):
        values = getattr(prediction, name)
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0]
            raise SchemaError(
                f"{pairs.path}: '{name}' of scene '{prediction.keys[bad]}' is not finite: infer anew, or leave out the "
                "metrics that need it"
            )


def _degenerate(scores: Scores) -> NDArray[np.bool_]:
    return np.zeros(len(scores.values), np.bool_) if scores.degenerate is None else scores.degenerate


def _by_step(metric: MetricPlugin, comparison: Comparison) -> Floats64:
    """Scores after every decode, ``float64[B, T+1]``."""
    return np.stack([metric.score(step).values for step in comparison.steps()], 1)
