"""True and predicted masks of some scenes, and the quantities that several metrics share, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics._contingency import count
from iodine_kit.metrics._conventions import MetricOptions, Scores, needs_masks
from iodine_kit.records import Array, Bytes, Floats, PredictionBatch, SceneBatch

if TYPE_CHECKING:
    from iodine_kit.metrics import MetricPlugin

LARGEST = 255
"""The largest id of an entity or slot."""


def hungarian(iou_BNK: NDArray[np.float64], objects_BN: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One slot for each object such that the sum of IoUs is largest (Kuhn 1955), ``int64[B, N]``; −1 for none.

    An object that would share no pixel with its slot gets none.
    """
    from scipy.optimize import linear_sum_assignment  # here, because it takes longer to load than most commands

    match_BN = np.full(objects_BN.shape, -1, np.int64)
    for match_N, iou_NK, objects_N in zip(match_BN, iou_BNK, objects_BN, strict=True):
        objects = np.flatnonzero(objects_N)
        row, slot = linear_sum_assignment(iou_NK[objects], maximize=True)
        match_N[objects[row]] = np.where(iou_NK[objects[row], slot] > 0, slot, -1)
    return match_BN


# ruff: noqa: N802 - names of arrays end in their shape, properties included


class Comparison:
    """A batch of scenes beside its predictions; every quantity is computed when it is first used, and kept.

    N rows: row 0 is the background, all of its ids merged; row e + 1 is entity e. K slots: one more than the largest id
    in the predicted masks. Rows and slots without pixels change nothing. An *object* is a row from 1 on with pixels.
    Pixels whose true id is ``ignored`` are in no row, so no quantity of pixels counts them.
    """

    def __init__(
        self,
        truth: SceneBatch,
        prediction: PredictionBatch,
        background: Sequence[int],
        options: MetricOptions | None = None,
        device: str = "cpu",
        ignored: int | None = None,
    ) -> None:
        """Check that truth and prediction fit each other.

        Args:
            truth, prediction: of the same scenes in the same order, masks of one size. Masks are integers of any width;
                other than ``uint8`` they are converted.
            background: mask ids that are background.
            options: choices that metrics leave open.
            device: where images are filtered. Masks are counted on the CPU: sending them elsewhere takes as long.
            ignored: mask id of the pixels to ignore, in 0…255; ``None`` if all pixels count.

        Raises:
            ValueError: if keys or shapes differ, masks are not integers in 0…255, or a predicted id is not below the
                number of slots, if latents, components or soft masks show it; the message names the argument.
        """
        self.truth, self.prediction = _checked(truth, prediction)
        self.background, self.options, self.device = tuple(background), options or MetricOptions(), device
        self.ignored = checked_ignored(ignored, self.background)

    def __len__(self) -> int:
        return len(self.truth)

    def steps(self) -> Iterator[Comparison]:
        """The same scenes beside the masks of every decode, in order; nothing if those were not stored."""
        if self.prediction.step_mask is None:
            return
        for mask in np.moveaxis(self.prediction.step_mask, 1, 0):
            prediction = PredictionBatch(self.prediction.keys, mask)
            yield Comparison(self.truth, prediction, self.background, self.options, self.device, self.ignored)

    def scores(self, metric: MetricPlugin) -> Scores:
        """Scores of a metric; one of masks is undefined where pixels are ignored and no other has an object."""
        scores = metric.score(self)
        if self.ignored is None or not needs_masks(metric):
            return scores
        unknown_B = (self.ignored_pixels_B > 0) & (self.object_counts_B == 0)  # there may be objects, or none
        degenerate = None if scores.degenerate is None else scores.degenerate & ~unknown_B
        return Scores(np.where(unknown_B, np.nan, scores.values), degenerate)

    @cached_property
    def table_BNK(self) -> NDArray[np.int64]:
        """Pixels of every row and slot."""
        return count(self.truth.mask, self.prediction.mask, self.background, self.ignored)

    @cached_property
    def kept_BHW(self) -> NDArray[np.bool_]:
        """Which pixels count: all that are not ignored; at the size of the true masks."""
        kept: NDArray[np.bool_] = np.full(self.truth.mask.shape, True)
        if self.ignored is not None:
            np.not_equal(self.truth.mask, self.ignored, out=kept)
        return kept

    @cached_property
    def ignored_pixels_B(self) -> NDArray[np.int64]:
        """Number of ignored pixels."""
        size = self.truth.mask[0].size if len(self) else 0
        ignored: NDArray[np.int64] = size - self.table_BNK.sum((1, 2))
        return ignored

    @cached_property
    def pixels_BN(self) -> NDArray[np.int64]:
        """Pixels of every row."""
        pixels: NDArray[np.int64] = self.table_BNK.sum(2)
        return pixels

    @cached_property
    def slot_pixels_BK(self) -> NDArray[np.int64]:
        """Pixels of every slot."""
        pixels: NDArray[np.int64] = self.table_BNK.sum(1)
        return pixels

    @cached_property
    def union_BNK(self) -> NDArray[np.int64]:
        """Pixels of a row or a slot or both."""
        return self.pixels_BN[:, :, None] + self.slot_pixels_BK[:, None] - self.table_BNK

    @cached_property
    def objects_BN(self) -> NDArray[np.bool_]:
        """Which rows are objects."""
        objects = self.pixels_BN > 0
        objects[:, 0] = False
        return objects

    @cached_property
    def object_counts_B(self) -> NDArray[np.int64]:
        """Visible objects."""
        counts: NDArray[np.int64] = self.objects_BN.sum(1)
        return counts

    @cached_property
    def iou_BNK(self) -> NDArray[np.float64]:
        """Intersection over union of every row and slot, over all pixels; 0 where either is empty."""
        iou: NDArray[np.float64] = self.table_BNK / np.maximum(self.union_BNK, 1)
        return iou

    @cached_property
    def match_BN(self) -> NDArray[np.int64]:
        """The slot of every object, matched so that the sum of their IoUs is largest; −1 for none."""
        return hungarian(self.iou_BNK, self.objects_BN)

    @cached_property
    def matched_iou_BN(self) -> NDArray[np.float64]:
        """IoU of every object with the slot matched to it, 0 if there is none; NaN where no object is."""
        iou = np.take_along_axis(self.iou_BNK, np.maximum(self.match_BN, 0)[..., None], 2)[..., 0]
        return np.where(self.objects_BN, np.where(self.match_BN >= 0, iou, 0.0), np.nan)

    @cached_property
    def best_iou_BN(self) -> NDArray[np.float64]:
        """The largest IoU of every object with any slot; NaN where no object is."""
        return np.where(self.objects_BN, self.iou_BNK.max(2), np.nan)

    @cached_property
    def images(self) -> tuple[Bytes, Floats]:
        """True images ``uint8[B, H, W, 3]`` and reconstructions ``float[B, H, W, 3]`` in [0, 1], not clipped.

        Raises:
            ValueError: if reconstructions were not stored, or do not fit the images.
        """
        image, reconstruction = self.truth.image, self.prediction.reconstruction
        if reconstruction is None:
            raise ValueError("prediction.reconstruction is needed, and was not given")
        if reconstruction.shape != image.shape:
            shapes = f"{shape_of(reconstruction)}, and truth.image {shape_of(image)}"
            raise ValueError(f"prediction.reconstruction has shape {shapes}")
        if reconstruction.dtype.kind != "f":
            raise ValueError(f"prediction.reconstruction is {reconstruction.dtype}, not floats in [0, 1]")
        return image, reconstruction

    @cached_property
    def kept_of_images(self) -> NDArray[np.bool_] | None:
        """Which pixels of the images count, ``bool[B, H, W]``; ``None`` if no pixel is ignored.

        Raises:
            ValueError: if true masks, of which some ignore pixels, have another size than the images.
        """
        image = self.truth.image
        if self.ignored is None or self.kept_BHW.all():
            return None
        if self.kept_BHW.shape != image.shape[:3]:
            shapes = f"{shape_of(self.truth.mask)}, and truth.image {shape_of(image)}"
            raise ValueError(f"truth.mask has shape {shapes}: pixels to ignore need masks of the images' size")
        return self.kept_BHW

    @cached_property
    def squared_error_B(self) -> NDArray[np.float64]:
        """Mean squared error of the reconstruction, not clipped, in [0, 1]; NaN if all pixels are ignored.

        Raises what :attr:`images` and :attr:`kept_of_images` raise.
        """
        return squared_error(*self.images, self.kept_of_images)


def checked_masks(name: str, masks: Any) -> Bytes:
    """Masks as ``uint8``: arrays of that type as they are, other integers converted.

    Raises:
        ValueError: for another type, or ids outside 0…255; ``name`` is that of the argument.
    """
    array = np.asarray(masks)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iu":
        advice = "take the arg max over slots" if array.dtype.kind == "f" else "one id per pixel"
        raise ValueError(f"{name} is {array.dtype}, not integers: {advice}")
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if low < 0 or high > LARGEST:
        raise ValueError(f"{name} has ids from {low} to {high}; they must be in 0…{LARGEST}: renumber them")
    return array.astype(np.uint8)


def check_slots(mask: Bytes, slots: int | None) -> None:
    """Raise :class:`ValueError` if a predicted mask has a slot id that is not below ``slots``."""
    highest = int(mask.max(initial=0)) if slots is not None else -1
    if slots is not None and highest >= slots:
        raise ValueError(f"prediction.mask has slot id {highest}, and there are {slots} slots, numbered from 0")


def checked_ignored(ignored: int | None, background: Sequence[int]) -> int | None:
    """The mask id of the pixels to ignore; raises :class:`ValueError` if no mask can have it, or it is background."""
    if ignored is None:
        return None
    if isinstance(ignored, bool) or not isinstance(ignored, int | np.integer) or not 0 <= ignored <= LARGEST:
        raise ValueError(f"ignored: pass one integer in 0…{LARGEST} (given: {ignored!r})")
    if ignored in background:
        raise ValueError(f"ignored: {ignored} cannot be background as well")
    return int(ignored)


def shape_of(array: Array) -> str:
    """A shape as messages write it: ``"[2, 6, 8]"``."""
    return f"[{', '.join(map(str, array.shape))}]"


def _checked(truth: SceneBatch, prediction: PredictionBatch) -> tuple[SceneBatch, PredictionBatch]:
    """Both with masks as ``uint8``; raises :class:`ValueError` if they do not fit each other."""
    true, mask = checked_masks("truth.mask", truth.mask), checked_masks("prediction.mask", prediction.mask)
    steps = prediction.step_mask
    steps = None if steps is None else checked_masks("prediction.step_mask", steps)
    if true.ndim != 3:
        raise ValueError(f"truth.mask has shape {shape_of(true)}, not [B, H, W]")
    if mask.shape != true.shape:
        raise ValueError(f"prediction.mask has shape {shape_of(mask)}, and truth.mask {shape_of(true)}")
    if steps is not None and (steps.ndim != 4 or steps[:, 0].shape != true.shape):
        scenes, height, width = true.shape
        raise ValueError(f"prediction.step_mask has shape {shape_of(steps)}, not [{scenes}, T+1, {height}, {width}]")
    _check_keys(truth.keys, prediction.keys, len(true))
    by_slot = (prediction.soft_mask, prediction.component, prediction.latent_loc)
    check_slots(mask, next((array.shape[1] for array in by_slot if array is not None), None))
    if true is not truth.mask:
        truth = replace(truth, mask=true)
    if mask is not prediction.mask or steps is not prediction.step_mask:
        prediction = replace(prediction, mask=mask, step_mask=steps)
    return truth, prediction


def _check_keys(true: Sequence[str], predicted: Sequence[str], scenes: int) -> None:
    if len(true) != scenes:
        raise ValueError(f"truth.mask has {scenes} scenes, and truth.keys {len(true)}")
    if len(predicted) != scenes:
        raise ValueError(f"prediction.keys has {len(predicted)} scenes, and truth.keys {len(true)}")
    if tuple(true) != tuple(predicted):
        place = next(i for i, (one, other) in enumerate(zip(true, predicted, strict=True)) if one != other)
        raise ValueError(
            f"prediction.keys differ from truth.keys: scene {place} is '{predicted[place]}', not '{true[place]}'"
        )


def squared_error(image: Bytes, reconstruction: Floats, kept: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Mean squared error of every scene, ``float64[B]``, of ``[B, H, W, 3]`` in 0…255 and in [0, 1].

    Args:
        kept: which pixels count, ``bool[B, H, W]``; ``None`` for all. NaN for a scene without any.
    """
    errors = np.empty(len(image))
    for scene, (true, guess) in enumerate(
        zip(image, reconstruction, strict=True)
    ):  # one scene fits the processor's cache
        error = guess - true / 255  # float64, as a quotient of integers is
        error = (error if kept is None else error[kept[scene]]).ravel()
        errors[scene] = error @ error / error.size if error.size else np.nan
    return errors
