"""From true and predicted masks to scores per scene and a row per object."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.evaluation.mask_size import Resolution
from iodine_kit.evaluation.scene_scores import Columns, SceneScores, gathered, joined
from iodine_kit.formats import Reader
from iodine_kit.metrics import METRICS, Comparison, MetricOptions, MetricPlugin, Scores, needs_masks
from iodine_kit.progress import Advance
from iodine_kit.records import Array, PredictionBatch, SceneBatch

ALL = "all"
FIRST = "ari"
Metrics = dict[str, MetricPlugin]
Batches = Iterable[tuple[SceneBatch, PredictionBatch]]
"""True scenes beside their predictions."""


def score_masks(
    truth: Array,
    predicted: Array,
    metrics: Sequence[str] = (FIRST,),
    *,
    background: Sequence[int] = (0,),
    options: MetricOptions | None = None,
    image: Array | None = None,
    fields: Mapping[str, Array] | None = None,
    device: str = "cpu",
    ignored: int | None = None,
) -> dict[str, Scores]:
    """Score predicted masks that are at hand as arrays.

    Args:
        truth: integers ``[B, H, W]``: the entity that owns each pixel, 0…255.
        predicted: integers ``[B, H, W]``: the slot that owns each pixel, 0…255.
        metrics: plug-in names.
        background: ids of ``truth`` that are background.
        options: choices that metrics leave open.
        image: ``uint8[B, H, W, 3]``; only metrics of images need it.
        fields: more fields of :class:`iodine_kit.records.PredictionBatch` by name, for metrics that need them.
        device: where images are filtered for SSIM.
        ignored: id of ``truth`` whose pixels no metric counts; ``None`` if all count.

    Returns:
        By metric: ``float64[B]``, NaN where it is undefined, and which scores a convention decided.

    Raises:
        ValueError: if an array does not fit, or a metric needs one that was not given; the message names it.
        UnknownNameError: for an unknown metric.
    """
    plugins, given = {name: METRICS.load(name) for name in metrics}, dict(fields or {})
    for name, plugin in plugins.items():
        if plugin.NEEDS is not None and plugin.NEEDS not in given:
            raise ValueError(f"metrics: '{name}' needs fields['{plugin.NEEDS}'], which was not given")
        if plugin.NEEDS == "reconstruction" and image is None:
            raise ValueError(f"metrics: '{name}' needs image, which was not given")
    keys = tuple(map(str, range(len(truth))))
    picture = np.empty((len(truth), 0, 0, 3), np.uint8) if image is None else image
    try:
        scenes, prediction = SceneBatch(keys, picture, truth), PredictionBatch(keys, predicted, **given)
        comparison = Comparison(scenes, prediction, background, options, device, ignored)
        return {name: _scores(plugin, comparison) for name, plugin in plugins.items()}
    except ValueError as error:
        message = str(error).replace("truth.mask", "truth").replace("truth.image", "image")
        raise ValueError(message.replace("prediction.mask", "predicted").replace("prediction.", "fields.")) from None


@dataclass(frozen=True)
class NoMasks:
    """Scenes without true masks: a clause that states ``what`` has none, and what to do instead, for messages."""

    what: str
    remedy: str


def choose_metrics(names: Iterable[str], stored: set[str], place: str, lacking: NoMasks | None = None) -> Metrics:
    """Load the named metrics; ``all`` stands for those that can be scored from the ``stored`` fields.

    Args:
        place: the predictions, for messages.
        lacking: given if the scenes have no true masks: then ``all`` omits the metrics that need them.

    Raises:
        SchemaError: if a named metric needs a field that was not stored, or true masks that there are not; or if
            nothing can be scored.
        UnknownNameError: for an unknown metric.
    """
    chosen: Metrics = {}
    for name in names:
        if name == ALL:
            every = {one: metric for one, metric in _scorable(stored).items() if not (lacking and needs_masks(metric))}
            if lacking and not every:
                raise SchemaError(
                    f"{place}: nothing can be scored: {lacking.what}, and the predictions hold no reconstruction and "
                    f"no ELBO: {lacking.remedy}"
                )
            chosen |= {other: metric for other, metric in every.items() if other not in chosen}
            continue
        metric = METRICS.load(name)
        if lacking and needs_masks(metric):
            raise SchemaError(
                f"{place}: metric '{name}' needs true masks, but {lacking.what}: omit the metric, or {lacking.remedy}"
            )
        if metric.NEEDS is not None and metric.NEEDS not in stored:
            raise SchemaError(
                f"{place}: metric '{name}' needs '{metric.NEEDS}', which was not stored: rerun inference with "
                f"'{stored_as(metric.NEEDS)}' in infer.store, import it too, or omit the metric"
            )
        chosen[name] = metric
    return chosen


@dataclass(frozen=True)
class Truth:
    """True masks from another preparation: ``scenes`` in the predictions' order; ids of background, or ignored."""

    scenes: Reader
    background: tuple[int, ...]
    ignored: int | None = None


@dataclass(frozen=True)
class Scorer:
    """Scores batch after batch.

    Attributes:
        metrics: those that need masks alone are scored at the resolution of comparison, the others at the model's.
        options: choices that metrics leave open.
        resolution: how masks are resized for comparison.
        background: ids of the batches' true masks that are background.
        truth: another preparation of the scenes; ``None`` takes the true masks of the batches.
        device: where images are filtered.
        masks: whether the scenes have true masks; without them, no metric may need them.
        ignored: id of the batches' true masks whose pixels no metric counts; ``None`` if all count.
    """

    metrics: Metrics
    options: MetricOptions
    resolution: Resolution
    background: Sequence[int]
    truth: Truth | None = None
    device: str = "cpu"
    masks: bool = True
    ignored: int | None = None

    @property
    def fields(self) -> set[str]:
        """Fields of the predictions that are read, beside the masks."""
        resized = self.resolution.needs if self.masks else set()
        fields = resized | {metric.NEEDS for metric in self.metrics.values() if metric.NEEDS}
        return fields | ({"step_mask"} if any(metric.BY_STEP for metric in self.metrics.values()) else set())

    @property
    def pixels(self) -> int:
        """Pixels of the largest mask of a scene."""
        sizes = (self.resolution.model, self.resolution.size, self.resolution.truth)
        return max(height * width for height, width in sizes)

    def score(self, batches: Batches, place: str, advance: Advance) -> SceneScores:
        """Score all batches; memory for pixels is that of one batch.

        Args:
            place: the predictions, for messages.
            advance: called with the number of scenes after every batch.

        Raises:
            SchemaError: if a field that a metric needs is not finite somewhere.
        """
        keys: list[str] = []

        def noted() -> Batches:
            for own, prediction in batches:
                yield own, prediction
                keys.extend(own.keys)

        return gathered(keys, self.columns(noted(), place, advance))

    def columns(self, batches: Batches, place: str, advance: Advance, first: int = 0) -> Columns:
        """As :meth:`score`, for a part of the scenes; ``first`` is the number of the first of them among all."""
        parts: list[Columns] = []
        for own, prediction in batches:
            as_predicted = Comparison(own, prediction, self.background, self.options, self.device, self.ignored)
            of_masks = self._at_resolution(as_predicted, first, place) if self.masks else as_predicted
            _refuse_not_finite({metric.NEEDS for metric in self.metrics.values() if metric.NEEDS}, prediction, place)
            found = _described(of_masks, first) if self.masks else {}
            for name, metric in self.metrics.items():
                found |= _scored(name, metric, of_masks if metric.NEEDS is None else as_predicted)
            parts.append(found)
            first += len(own)
            advance(len(own))
        return joined(parts)

    def _at_resolution(self, as_predicted: Comparison, first: int, place: str) -> Comparison:
        """The masks at the size of comparison; ``first`` is the number of the batch's first scene."""
        if not self.resolution.resizes and self.truth is None:
            return as_predicted
        truth, background, ignored = as_predicted.truth, self.background, self.ignored
        if self.truth is not None:
            truth = self.truth.scenes.batch(range(first, first + len(truth)))
            background, ignored = self.truth.background, self.truth.ignored
        resized = self.resolution.predicted(as_predicted.prediction, place)
        return Comparison(self.resolution.true(truth), resized, background, self.options, self.device, ignored)


def _described(comparison: Comparison, first: int) -> Columns:
    """Objects of a batch, and a row for each; ``first`` is the number of its first scene."""
    scene, row = np.nonzero(comparison.objects_BN)
    return {
        ("objects",): comparison.object_counts_B,
        ("foreground",): np.where(comparison.objects_BN, comparison.pixels_BN, 0).sum(1),
        ("table", "scene"): scene + first,
        ("table", "entity"): row - 1,
        ("table", "pixels"): comparison.pixels_BN[scene, row],
        ("table", "slot"): comparison.match_BN[scene, row],
        ("table", "iou"): comparison.matched_iou_BN[scene, row],
        ("table", "best_iou"): comparison.best_iou_BN[scene, row],
        **({} if comparison.ignored is None else {("ignored",): comparison.ignored_pixels_B}),
    }


def _scored(name: str, metric: MetricPlugin, comparison: Comparison) -> Columns:
    scores = _scores(metric, comparison)
    columns: Columns = {
        ("values", name): scores.values,
        ("degenerate", name): np.zeros(len(comparison), bool) if scores.degenerate is None else scores.degenerate,
    }
    if metric.BY_STEP and comparison.prediction.step_mask is not None:
        columns["steps", name] = np.stack([_scores(metric, step).values for step in comparison.steps()], 1)
    return columns


def _scores(metric: MetricPlugin, comparison: Comparison) -> Scores:
    """Scores that are not finite are undefined."""
    scores = comparison.scores(metric)
    return Scores(np.where(np.isfinite(scores.values), scores.values, np.nan), scores.degenerate)


def _refuse_not_finite(fields: Collection[str], prediction: PredictionBatch, place: str) -> None:
    """A model that failed on some scenes must not be scored on the others alone."""
    for name in sorted(fields):
        values = getattr(prediction, name)
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0]
            raise SchemaError(
                f"{place}: '{name}' of scene '{prediction.keys[bad]}' contains NaN or infinity: rerun inference, or "
                "omit the metrics that need it"
            )


def _scorable(stored: set[str]) -> Metrics:
    """Metrics of masks before the others, foreground ARI before all."""
    plugins = {name: METRICS.load(name) for name in METRICS.names()}
    plugins = {name: metric for name, metric in plugins.items() if metric.NEEDS is None or metric.NEEDS in stored}
    return dict(sorted(plugins.items(), key=lambda one: (one[0] != FIRST, one[1].NEEDS or "", one[0])))


def stored_as(field: str) -> str:
    """The name by which ``infer.store`` selects a field of the predictions."""
    return {"nll": "elbo", "kl": "elbo", "latent_loc": "latents", "latent_scale": "latents"}.get(field, field)
