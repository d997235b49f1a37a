"""True and predicted masks of some scenes, and what many metrics ask about them, worked out once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from iodine_kit.metrics._conventions import Rules
from iodine_kit.metrics._counting import count
from iodine_kit.records import Bytes, Floats, PredictionBatch, SceneBatch


def hungarian(iou_BNK: NDArray[np.float64], objects_BN: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One slot for each object such that the sum of IoUs is largest (Kuhn 1955), ``int64[B, N]``; −1 for none.

    An object that would share no pixel with its slot gets none.
    """
    match_BN = np.full(objects_BN.shape, -1, np.int64)
    for match_N, iou_NK, objects_N in zip(match_BN, iou_BNK, objects_BN, strict=True):
        objects = np.flatnonzero(objects_N)
        row, slot = linear_sum_assignment(iou_NK[objects], maximize=True)
        match_N[objects[row]] = np.where(iou_NK[objects[row], slot] > 0, slot, -1)
    return match_BN


# ruff: noqa: N802 - names of arrays end in their shape, be they properties


class Comparison:
    """A batch of scenes beside its predictions; what is asked for is worked out at the first question and kept.

    N rows: 0 is the background, all of its indices merged; e + 1 is entity e. K slots: as many as the largest index
    of the masks asks for. Rows and slots without pixels do no harm. An *object* is a row from 1 on that has pixels.
    """

    def __init__(
        self,
        truth: SceneBatch,
        prediction: PredictionBatch,
        background: Sequence[int],
        rules: Rules | None = None,
        device: str = "cpu",
    ) -> None:
        """Compare.

        Args:
            truth, prediction: of the same scenes and of the same size.
            background: mask indices that are background.
            rules: what one may choose.
            device: where images are filtered. Masks are counted on the CPU, which takes no longer than to send them.
        """
        self.truth, self.prediction = truth, prediction
        self.background, self.rules, self.device = tuple(background), rules or Rules(), device

    def __len__(self) -> int:
        return len(self.truth)

    def steps(self) -> Iterator[Comparison]:
        """The same scenes beside the masks of every decode, in turn; none if those were not stored."""
        if self.prediction.step_mask is None:
            return
        for mask in np.moveaxis(self.prediction.step_mask, 1, 0):
            prediction = PredictionBatch(self.prediction.keys, mask)
            yield Comparison(self.truth, prediction, self.background, self.rules, self.device)

    @cached_property
    def table_BNK(self) -> NDArray[np.int64]:
        """Pixels of every row and slot."""
        return count(self.truth.mask, self.prediction.mask, self.background)

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
    def squared_error_B(self) -> NDArray[np.float64]:
        """Mean squared error of the reconstruction, not clipped, in [0, 1]; it must have been stored."""
        assert self.prediction.reconstruction is not None
        return squared_error(self.truth.image, self.prediction.reconstruction)


def squared_error(image: Bytes, reconstruction: Floats) -> NDArray[np.float64]:
    """Mean squared error of every scene, ``float64[B]``, of ``[B, H, W, 3]`` in 0…255 and in [0, 1]."""
    errors = np.empty(len(image))
    for scene, (true, guess) in enumerate(zip(image, reconstruction, strict=True)):  # one fits the processor's cache
        error = (guess - true / 255).ravel()  # float64, as a quotient of integers is
        errors[scene] = error @ error / error.size
    return errors
