"""True scenes beside their predictions, from arrays or from the store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from iodine_kit import records
from iodine_kit.api.arguments import AnyArray, argument, find, to_masks
from iodine_kit.api.dataset import Dataset
from iodine_kit.api.model import Segmentation
from iodine_kit.api.scenes import SceneBatch
from iodine_kit.artifacts.predictions_and_truth import Pairs, PredictionsFacts
from iodine_kit.evaluation.scoring import ALL, Batches, NoMasks
from iodine_kit.evaluation.summary import Subject
from iodine_kit.metrics import METRICS, needs_masks
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.records import PredictionBatch
from iodine_kit.store import Artifact

Truth = Dataset | records.SceneBatch | AnyArray
Predictions = Segmentation | Artifact | AnyArray


@dataclass(frozen=True)
class EvaluatedPairs:
    """True scenes beside their predictions.

    Attributes:
        batches: reads them: so many scenes at a time, of the predictions only the named fields.
        close: closes their files.
        stored: fields of the predictions.
        size: height and width of the masks.
        background: values of true masks that are background; ``ignored`` that of pixels to ignore, or ``None``.
        subject: what was predicted, and by which model.
        place: the predictions, for messages; ``argument``: what messages begin with.
        images: whether the true scenes have images.
        lacking: set if the true scenes have no masks.
    """

    batches: Callable[[int, Collection[str]], Batches]
    close: Callable[[], None]
    stored: set[str]
    size: tuple[int, int]
    background: tuple[int, ...]
    subject: Subject
    place: str = "predictions"
    argument: str = ""
    images: bool = True
    lacking: NoMasks | None = None
    ignored: int | None = None


def pair(truth: Truth, predictions: Predictions) -> EvaluatedPairs:
    """Bring the arguments of :func:`iodine_kit.evaluate` together.

    Raises:
        ValueError: if they are not of the same scenes; the message names the argument.
    """
    if isinstance(predictions, Artifact):
        predictions = find("predictions", predictions, "predictions", None)
        if isinstance(truth, Dataset):
            return _of_files(truth, predictions)
    return _of_arrays(truth, predictions)


def check_needs(names: Sequence[str], pairs: EvaluatedPairs) -> None:
    """Raise :class:`ValueError` if a metric needs more than the arrays that were given, or masks that there are not."""
    for name in names:
        if name == ALL:
            continue
        with argument("metrics"):
            metric = METRICS.load(name)
        if pairs.lacking and needs_masks(metric):
            raise ValueError(
                f"metrics: '{name}' needs true masks, but {pairs.lacking.what}: pass metrics of images, such as 'mse'"
            )
        needs = metric.NEEDS
        if needs is not None and needs not in pairs.stored and not pairs.argument:
            what = {"reconstruction": "reconstructions"}.get(needs, f"'{needs}'")
            images = ", and scenes with images as truth" if needs == "reconstruction" and not pairs.images else ""
            raise ValueError(f"metrics: '{name}' needs {what}: pass what model.segment returned{images}")


def _of_files(truth: Dataset, predictions: Artifact) -> EvaluatedPairs:
    """Both from files, which are read in batches."""
    subject = PredictionsFacts.of(predictions).subject(truth.info.dataset)
    if subject.split != truth.split:
        raise ValueError(f"predictions: they are of split '{subject.split}', and truth is split '{truth.split}'")
    with argument("predictions"):
        pairs = Pairs(predictions, truth.artifact)
    info, place = truth.info, str(pairs.path)
    stored = pairs.predictions.fields()
    size = (info.height, info.width)
    return EvaluatedPairs(
        pairs.batches, pairs.close, stored, size, info.background, subject, place, "predictions",
        lacking=_lack(truth.has_masks), ignored=info.ignored,
    )  # fmt: skip


def _of_arrays(truth: Truth, predictions: Predictions) -> EvaluatedPairs:
    """Both as arrays, in one batch."""
    predicted, subject = _predicted(predictions)
    scenes = _scenes(truth, len(predicted.mask))
    if isinstance(truth, Dataset):
        subject = replace(subject, dataset=truth.info.dataset, split=truth.split)
    if predicted.mask.shape != scenes.mask.shape:
        shapes = f"{list(predicted.mask.shape)}, and that of truth {list(scenes.mask.shape)}"
        raise ValueError(f"predictions: the shape of the masks is {shapes}")
    keys = scenes.keys or predicted.keys or tuple(map(str, range(len(scenes.mask))))
    scenes, predicted = replace(scenes, keys=keys), replace(predicted, keys=predicted.keys or keys)
    for number, (mine, true) in enumerate(zip(predicted.keys, keys, strict=True)):
        if mine != true:
            raise ValueError(f"predictions: scene {number} is '{mine}', and scene {number} of truth is '{true}'")
    stored = {name for name, value in vars(predicted).items() if value is not None}
    images = scenes.image.size > 0
    background, ignored = (scenes.background, scenes.ignored) if isinstance(scenes, SceneBatch) else ((0,), None)
    return EvaluatedPairs(
        batches=lambda size, fields: [(scenes, predicted)],
        close=lambda: None,
        stored=stored if images else stored - {"reconstruction"},
        size=(scenes.mask.shape[1], scenes.mask.shape[2]),
        background=background,
        subject=subject,
        images=images,
        lacking=_lack(scenes.has_masks),
        ignored=ignored,
    )


def _lack(masks: bool) -> NoMasks | None:
    return None if masks else NoMasks("truth has no masks", "pass the true masks as truth")


def _predicted(predictions: Predictions) -> tuple[PredictionBatch, Subject]:
    """The predictions as a record, with the keys of their scenes if they have any, and what they say of the model."""
    if isinstance(predictions, Artifact):
        with closing(PredictionReader(predictions.path / PREDICTIONS)) as reader:
            return reader.batch(0, len(reader)), replace(PredictionsFacts.of(predictions).subject(""), split="")
    unknown = Subject(dataset="", split="", model="", slots=None, steps=None, restarts=1)
    if isinstance(predictions, Segmentation):
        slots, steps = predictions.soft_mask.shape[1], predictions.elbo.shape[1] - 1
        about = replace(unknown, slots=slots, steps=steps, restarts=predictions.restarts)
        return predictions.prediction(()), about
    return PredictionBatch((), to_masks("predictions", predictions)), unknown


def _scenes(truth: Truth, count: int) -> records.SceneBatch:
    """The true scenes as arrays; of a data set, the first ``count``."""
    if isinstance(truth, Dataset):
        if count > len(truth):
            raise ValueError(f"predictions: there are {count} scenes, and truth has {len(truth)}")
        return truth[:count]
    if isinstance(truth, records.SceneBatch):
        return truth
    masks = to_masks("truth", truth)
    return records.SceneBatch((), np.empty((len(masks), 0, 0, 3), np.uint8), masks)
