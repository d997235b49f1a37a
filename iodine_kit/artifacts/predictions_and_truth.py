"""Bringing predictions and truth together: they have to be of the same scenes, in the same order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit.artifacts.dataset import check_split, dataset_info, has_masks, open_split
from iodine_kit.config import differences, flatten
from iodine_kit.errors import CountError, SchemaError
from iodine_kit.evaluation.summary import Subject
from iodine_kit.formats import Reader
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.records import Array, PredictionBatch, SceneBatch
from iodine_kit.store import Artifact, ArtifactFacts

BATCH = 256
_BATCH_BYTES = 64 << 20
_PIXEL_BYTES = 100
"""Of images, masks and what metrics make of them, per pixel of a scene; an estimate."""
_SIZE_ONLY = ("preprocess.size", "format.")
"""Settings that change how a scene is stored, and not which scene it is or what of it is seen."""


class PredictionsFacts(ArtifactFacts):
    """Facts of predictions.

    Attributes:
        scenes: number of the split's first scenes that were predicted.
        split: of the data set.
        slots, steps: K and T of inference; ``None`` where an imported file does not say.
        restarts: inferences per scene, of which the one with the lowest loss was kept.
        model: title of a model that no run in the store holds; "" if a run made the predictions.
        named: whether the user named the imported model; if not, it has the name of its file.
        resized: how imported masks came to the size of the data set; "" if they had it.
        imported: mapping, reader and arrays of an imported file.
        weights: where the weights came from, if no run in the store holds them.
    """

    scenes: int
    split: str
    slots: int | None = None
    steps: int | None = None
    restarts: int = 1
    model: str = ""
    named: bool = True
    resized: str = ""
    imported: dict[str, Any] = {}
    weights: dict[str, Any] = {}

    def subject(self, dataset: str) -> Subject:
        """What an evaluation of them is about, on the data set of this name."""
        return Subject(
            dataset=dataset, split=self.split, model=self.model, slots=self.slots, steps=self.steps,
            restarts=self.restarts, resized=self.resized,
        )  # fmt: skip


class Pairs:
    """The predictions of an artifact beside the data set that they were made for.

    Raises:
        CountError: if the file holds no scene.
        SchemaError: if scenes occur twice, are of another data set, are missing, or in another order.
    """

    def __init__(self, predictions: Artifact, dataset: Artifact) -> None:
        self.path = predictions.path / PREDICTIONS
        self.predictions = PredictionReader(self.path)
        facts = PredictionsFacts.of(predictions)
        self.split, self.slots = facts.split, facts.slots
        self.scenes = open_split(dataset, self.split)
        self.info = dataset_info(dataset)
        check_keys(self.path, self.predictions.keys, self.scenes.keys(), dataset.path, self.split)

    def __len__(self) -> int:
        return len(self.predictions)

    def batches(
        self, size: int, names: Collection[str] | None = None, scenes: range | None = None
    ) -> Iterator[tuple[SceneBatch, PredictionBatch]]:
        """Truth and prediction, ``size`` scenes at a time, of the predictions only the fields ``names`` (or all).

        Args:
            scenes: consecutive numbers of scenes. Defaults to all.

        Raises:
            SchemaError: if masks have another size than the true ones, or name slots that there are not.
        """
        scenes = scenes or range(len(self))
        for start in scenes[::size]:
            stop = min(start + size, scenes.stop)
            truth = self.scenes.batch(range(start, stop))
            prediction = self.predictions.batch(start, stop, names)
            self._check(truth, prediction)
            yield truth, prediction

    def close(self) -> None:
        """Close the files of both."""
        self.predictions.close()
        self.scenes.close()

    def _check(self, truth: SceneBatch, prediction: PredictionBatch) -> None:
        if truth.mask.shape != prediction.mask.shape:
            sizes = f"{_size(prediction.mask)} and {_size(truth.mask)} pixels"
            raise SchemaError(f"{self.path}: predicted and true masks have different sizes, {sizes}")
        if self.slots is None:
            return
        for masks in (prediction.mask, prediction.step_mask):
            if masks is not None and masks.size and masks.max() >= self.slots:
                row = int(np.nonzero(masks.reshape(len(masks), -1).max(1) >= self.slots)[0][0])
                raise SchemaError(
                    f"{self.path}: the mask of scene '{prediction.keys[row]}' names slot {masks[row].max()}, "
                    f"and there are {self.slots} slots, numbered from 0: write the file again"
                )


def paired(predictions: Artifact, dataset: Artifact) -> Iterator[tuple[SceneBatch, PredictionBatch]]:
    """Truth and everything predicted, batch by batch; raises what :class:`Pairs` raises."""
    pairs = Pairs(predictions, dataset)
    return pairs.batches(batch_size(pairs.info.height * pairs.info.width))


def batch_size(pixels: int) -> int:
    """Number of scenes per batch, so that memory stays bounded; ``pixels`` of one scene."""
    return max(1, min(BATCH, _BATCH_BYTES // (_PIXEL_BYTES * pixels)))


def check_keys(path: Path, keys: Sequence[str], known: Sequence[str], place: Path, split: str) -> None:
    """Predictions are of the first scenes of a split, all or some of them, in the split's order.

    Another order is refused rather than sorted out: whoever wrote the file may have meant another scene by a key.
    """
    if not keys:
        raise CountError(f"{path}: it holds no scene: there is nothing to evaluate")
    if list(keys) == list(known[: len(keys)]):
        return
    twice = next((key for key, times in Counter(keys).items() if times > 1), None)
    if twice is not None:
        raise SchemaError(f"{path}: scene '{twice}' occurs more than once: write every scene once")
    unknown = next((key for key in keys if key not in set(known)), None)
    where = f"split '{split}' of {place}"
    if unknown is not None:
        raise SchemaError(f"{path}: these predictions are of other scenes: '{unknown}' is not in {where}")
    missing = next((key for key in known[: len(keys)] if key not in set(keys)), None)
    if missing is not None:
        raise SchemaError(f"{path}: scene '{missing}' of {where} is missing, though later ones are there")
    first = next(i for i, (one, other) in enumerate(zip(keys, known, strict=False)) if one != other)
    raise SchemaError(
        f"{path}: its scenes are in another order than in {where}: number {first} is '{keys[first]}' and not "
        f"'{known[first]}'; write them in that order"
    )


def open_truth(truth: Artifact, dataset: Artifact, split: str, keys: Sequence[str]) -> Reader:
    """Open another preparation of the same scenes; raises :class:`SchemaError` if it is of other scenes.

    Keys are not enough: generators number their scenes. All settings except size and storage must be equal. Masks can
    be added to pictures that were prepared without: then every image must be equal.
    """
    if not has_masks(dataset, split):
        return _open_same_images(truth, dataset, split, len(keys))
    mine, other = dataset.manifest.identity, truth.manifest.identity
    changed = differences(_scene_settings(dataset), _scene_settings(truth))
    if {source.sha256 for source in mine.sources} != {source.sha256 for source in other.sources}:
        changed.append("its source files")
    if changed:
        changes = "; ".join(changed)
        raise SchemaError(f"{truth.path} does not hold the scenes of {dataset.path} in another size: {changes}")
    scenes = open_split(truth, split)
    pairs = zip_longest(keys, scenes.keys()[: len(keys)])
    first = next((number for number, (one, another) in enumerate(pairs) if one != another), None)
    if first is not None:
        raise SchemaError(
            f"{truth.path}: split '{split}' does not hold the scenes of {dataset.path}: number {first} is not "
            f"'{keys[first]}'"
        )
    return scenes


def _open_same_images(truth: Artifact, dataset: Artifact, split: str, count: int) -> Reader:
    """Open a split of ``truth`` whose first ``count`` images are those of ``dataset``, pixel by pixel."""
    own, scenes = open_split(dataset, split), open_split(truth, split)
    mine, info = dataset_info(dataset), dataset_info(truth)
    problem = f"{truth.path}: split '{split}' does not hold the pictures of {dataset.path}"
    if (info.height, info.width) != (mine.height, mine.width):
        sizes = f"{info.height}×{info.width} and {mine.height}×{mine.width} pixels"
        raise SchemaError(f"{problem}: they have different sizes, {sizes}: prepare both in the same way")
    if check_split(truth, split) < count:
        raise SchemaError(f"{problem}: it has {len(scenes)} scenes, and {count} were predicted")
    size = batch_size(mine.height * mine.width)
    for start in range(0, count, size):
        some = range(start, min(start + size, count))
        batch = own.batch(some)
        equal = (batch.image == scenes.batch(some).image).all((1, 2, 3))
        if not equal.all():
            place = int(equal.argmin())
            raise SchemaError(f"{problem}: the image of scene {start + place}, '{batch.keys[place]}', differs")
    own.close()
    return scenes


def _scene_settings(dataset: Artifact) -> dict[str, object]:
    leaves = flatten(dataset.config)
    return {name: value for name, value in leaves.items() if not name.startswith(_SIZE_ONLY)}


def _size(masks: Array) -> str:
    return f"{masks.shape[-2]}×{masks.shape[-1]}"
