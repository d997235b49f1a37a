"""The size at which masks are compared, and how they are resized to it.

EfficientMORL's ``eval.py`` compares CLEVR6 at 192×192: it resizes every slot's soft mask with Pillow, takes the arg max
(lowest index in a tie), and uses true masks from a crop of 192×192 pixels. ``resolution = 192`` with true masks
prepared at that size does the same. It calls ``Image.resize`` without a filter, which is bicubic in the Pillow 7.2 that
its environment pins: set ``interpolation = "bicubic"``. Differences remain: it scores reconstructions with the resized
masks, we at the model's resolution; it takes the first 320 scenes in random order; its sums are float32; and soft masks
are stored here as float16, which can decide a near tie differently.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError
from iodine_kit.preprocessing import Size, nearest
from iodine_kit.records import Array, PredictionBatch, SceneBatch


@dataclass(frozen=True)
class Resolution:
    """How masks are resized for comparison.

    Attributes:
        model: height and width of the predicted masks.
        truth: height and width of the true masks.
        size: height and width at which they are compared.
        interpolation: Pillow's filter for soft masks.
        soft: whether soft masks are stored; if not, hard ones are resized.
    """

    model: Size
    truth: Size
    size: Size
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    soft: bool = True

    @property
    def resizes(self) -> bool:
        """Whether any mask is resized."""
        return not self.model == self.truth == self.size

    @property
    def needs(self) -> set[str]:
        """Fields of the predictions that resizing needs."""
        return {"soft_mask"} if self.soft and self.model != self.size else set()

    def sentence(self) -> str:
        """The rule, as every result states it."""
        if not self.resizes:
            return f"none: masks are compared as they are predicted and prepared, at {_by(self.size)} pixels"
        return f"masks are compared at {_by(self.size)} pixels: {self._predicted()}; {self._true()}; {self._others()}"

    def predicted(self, prediction: PredictionBatch, place: str) -> PredictionBatch:
        """The hard masks at the size of comparison; fields that do not exist at that size are omitted.

        Raises:
            SchemaError: if a soft mask is not a number somewhere; ``place`` names the predictions.
        """
        if self.model == self.size:
            return PredictionBatch(prediction.keys, prediction.mask, step_mask=prediction.step_mask)
        if prediction.soft_mask is None or not self.soft:
            mask = nearest(prediction.mask, self.size)
        else:
            _check_finite(prediction, place)
            mask = self._hardened(prediction.soft_mask)
        steps = None if prediction.step_mask is None else nearest(prediction.step_mask, self.size)
        return PredictionBatch(prediction.keys, mask, step_mask=steps)

    def true(self, truth: SceneBatch) -> SceneBatch:
        """Images and true masks at the size of comparison."""
        if self.truth == self.size:
            return truth
        image = np.moveaxis(nearest(np.moveaxis(truth.image, -1, 1), self.size), 1, -1)
        return replace(truth, image=image, mask=nearest(truth.mask, self.size))

    def _hardened(self, soft_mask_BKHW: Array) -> NDArray[np.uint8]:
        rows, columns = self._weights
        resized = rows @ soft_mask_BKHW.astype(np.float32) @ columns.T
        hard: NDArray[np.uint8] = resized.argmax(1).astype(np.uint8)
        return hard

    @cached_property
    def _weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights of the old rows and columns for every new one: Pillow's own, obtained by resizing unit vectors."""
        from PIL import Image  # here, because most evaluations resize nothing

        kind = Image.Resampling[self.interpolation.upper()]

        def weights(old: int, new: int) -> Any:
            return np.asarray(Image.fromarray(np.eye(old, dtype=np.float32)).resize((old, new), kind))

        return weights(self.model[0], self.size[0]), weights(self.model[1], self.size[1])

    def _predicted(self) -> str:
        if self.model == self.size:
            return "predicted masks as they are"
        if self.soft:
            return (
                f"predicted soft masks resized from {_by(self.model)} by Pillow's {self.interpolation} filter, then "
                "every pixel given to the slot with the largest one"
            )
        return (
            f"predicted masks, of which only hard ones are stored, resized from {_by(self.model)} by nearest neighbour"
        )

    def _true(self) -> str:
        if self.truth == self.size:
            return "true masks as they were prepared at that size"
        return f"true masks resized from {_by(self.truth)} by nearest neighbour"

    def _others(self) -> str:
        return f"masks of single steps by nearest neighbour; reconstructions stay at {_by(self.model)}"


def _check_finite(prediction: PredictionBatch, place: str) -> None:
    assert prediction.soft_mask is not None
    bad = ~np.isfinite(prediction.soft_mask).all((1, 2, 3))
    if bad.any():
        key = prediction.keys[int(bad.argmax())]
        raise SchemaError(
            f"{place}: the soft masks of scene '{key}' contain NaN or infinity and cannot be resized: "
            "rerun inference, or evaluate at the model's resolution"
        )


def _by(size: Size) -> str:
    return f"{size[0]}×{size[1]}"
