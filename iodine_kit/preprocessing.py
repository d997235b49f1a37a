"""Preprocess published scenes before they are stored: filter by the number of objects, crop, and resize."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from iodine_kit.config import Config
from iodine_kit.errors import ImageSizeError
from iodine_kit.records import IGNORED, Array, Bytes, Floats, Scene

Size = tuple[int, int]
"""Height and width in pixels."""
Box = tuple[int, int, int, int]
"""Rows ``top:bottom`` and columns ``left:right``."""
_IODINE: Box = (29, 221, 64, 256)
"""deepmind-research/iodine, modules/data.py: the middle of the table, without the empty margin."""
_CLEVR: dict[Size, Box] = {(240, 320): _IODINE, (320, 480): (24, 312, 96, 384)}
"""The same view in images of CLEVR with masks, and of CLEVR v1.0."""
_CROP = re.compile(r"none|iodine|clevr|centre:[1-9]\d*|\d+:\d+,\d+:\d+")


class PreprocessConfig(Config):
    """How to preprocess published scenes. A data set, a layout or a protocol can define other defaults.

    Attributes:
        crop: ``none``; ``iodine`` (rows 29:221, columns 64:256 of the 240×320 pixels of CLEVR); ``clevr`` (the same
            view, in images of 240×320 pixels, or rows 24:312, columns 96:384 of 320×480); ``centre:192`` (a centred
            square with this side, in pixels); or ``29:221,64:256`` (rows, columns).
        size: side of the square that the crop is resized to, in pixels. Defaults to the size of the crop. As in
            TensorFlow 1: bilinear without half-pixel centres or antialiasing for images, nearest neighbour for masks.
        min_objects: scenes with fewer objects are omitted.
        max_objects: scenes with more objects are omitted.
        count: what counts as an object: ``factors``, a visible row of the factors (an index of the mask, if the data
            set has no factors), or ``pixels``, an index of the mask after the crop.
    """

    crop: str = "none"
    size: Annotated[int, Field(ge=1, le=4096)] | None = None
    min_objects: Annotated[int, Field(ge=0)] | None = None
    max_objects: Annotated[int, Field(ge=0)] | None = None
    count: Literal["factors", "pixels"] = "factors"

    @field_validator("crop")
    @classmethod
    def _is_a_crop(cls, crop: str) -> str:
        if not _CROP.fullmatch(crop):
            raise ValueError(
                f"'{crop}' is not a valid crop: use none, iodine, clevr, centre:SIDE or TOP:BOTTOM,LEFT:RIGHT"
            )
        ends = [int(number) for number in re.findall(r"\d+", crop)]
        if len(ends) == 4 and (ends[0] >= ends[1] or ends[2] >= ends[3]):
            raise ValueError(f"'{crop}' is empty: its rows or columns end before they begin")
        return crop

    @model_validator(mode="after")
    def _is_a_range(self) -> PreprocessConfig:
        if self.min_objects is not None and self.max_objects is not None and self.min_objects > self.max_objects:
            raise ValueError(f"min_objects {self.min_objects} is greater than max_objects {self.max_objects}")
        return self


def is_kept(original: Scene, cropped: Scene, background: Collection[int], config: PreprocessConfig) -> bool:
    """Whether the number of objects is in the configured range; a scene with an unknown number is in no range."""
    if config.min_objects is None and config.max_objects is None:
        return True
    counted = cropped if config.count == "pixels" else original
    number = count_objects(counted, background, by_pixels=config.count == "pixels")
    if number is None:
        return False
    too_few = config.min_objects is not None and number < config.min_objects
    too_many = config.max_objects is not None and number > config.max_objects
    return not (too_few or too_many)


def count_objects(scene: Scene, background: Collection[int], *, by_pixels: bool = False) -> int | None:
    """Count the objects of a scene: visible rows of its factors, or else foreground indices of its mask.

    The published ``visibility`` is 1 for the background, too. Because it was counted, "CLEVR6" came to mean five
    objects in some code bases; here the rows and indices in ``background`` are not counted.

    Returns:
        the number; ``None`` if it is unknown, because no row is visible or the mask is 0 wherever it says anything.
    """
    visibility = scene.factors.get("visibility")
    if visibility is not None and not by_pixels:
        foreground = np.delete(visibility, list(background))
        return int(np.count_nonzero(foreground > 0)) if visibility.any() else None
    mask = scene.mask[scene.mask != IGNORED] if scene.ignored else scene.mask
    return int(np.setdiff1d(np.unique(mask), list(background)).size) if mask.any() else None


def preprocess(scene: Scene, config: PreprocessConfig) -> Scene:
    """Return the scene with its image and mask cropped and resized.

    Raises:
        ImageSizeError: if the crop extends beyond the image.
    """
    height, width = scene.mask.shape
    top, bottom, left, right = _box(config.crop, height, width, scene.key)
    image, mask = scene.image[top:bottom, left:right], scene.mask[top:bottom, left:right]
    if config.size is not None and mask.shape != (config.size, config.size):
        image, mask = resize_bilinear(image, config.size), resize_nearest(mask, config.size)
    return replace(scene, image=np.ascontiguousarray(image), mask=np.ascontiguousarray(mask))


def preprocessed_size(size: Size, config: PreprocessConfig) -> Size:
    """Height and width that :func:`preprocess` gives to images of this size; raises what it raises."""
    if config.size is not None:
        return config.size, config.size
    top, bottom, left, right = _box(config.crop, *size, "preprocess.crop")
    return bottom - top, right - left


def resize_bilinear(image: Bytes, size: int) -> Bytes:
    """Resize ``uint8[H, W, 3]`` to a square as ``tf.compat.v1.image.resize_bilinear`` does, rounded to 8 bits.

    Pixel i of the result samples position i·H/size of the image, without half-pixel centres or antialiasing.
    """
    (y0, y1, fy), (x0, x1, fx) = (_taps(length, size) for length in image.shape[:2])
    # Index rows of bytes rather than pixels: indexing an array with a last axis of 3 takes several times as long.
    flat, channel = image.reshape(len(image), -1), np.arange(3)
    left, right = (flat.take((3 * x[:, None] + channel).ravel(), axis=1) for x in (x0, x1))
    rows = _interpolate(left, right, np.repeat(fx, 3))
    values = _interpolate(rows.take(y0, axis=0), rows.take(y1, axis=0), fy[:, None])
    values += np.float32(0.5)
    return values.astype(np.uint8).reshape(size, size, 3)


def resize_nearest(mask: Bytes, size: int) -> Bytes:
    """Resize ``uint8[H, W]`` to a square as ``tf.compat.v1.image.resize_nearest_neighbor`` does: pixel ⌊i·H/size⌋."""
    (y, _, _), (x, _, _) = (_taps(length, size) for length in mask.shape)
    return mask[y[:, None], x[None, :]]


def nearest(images: Array, size: Size) -> Array:
    """Resize ``[…, H, W]`` by nearest neighbour with half-pixel centres.

    A new pixel gets the value of the old pixel that contains its centre; on a border between two, the later one.
    """
    height, width = images.shape[-2:]
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in ((height, size[0]), (width, size[1])))
    return images[..., rows[:, None], columns]


def _interpolate(first: Array, second: Array, fraction: Floats) -> Floats:
    """``first + (second - first) · fraction`` in single precision; may overwrite its arguments."""
    start, values = first.astype(np.float32, copy=False), second.astype(np.float32, copy=False)
    values -= start
    values *= fraction
    values += start
    return values


@lru_cache(maxsize=16)
def _taps(length: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """For each output pixel its two neighbours and the distance from the first, in single precision like TensorFlow."""
    position = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
    lower = np.minimum(np.floor(position).astype(np.int64), length - 1)
    upper = np.minimum(lower + 1, length - 1)
    return lower, upper, position - np.floor(position)


def _box(crop: str, height: int, width: int, key: str) -> Box:
    if crop == "none":
        return 0, height, 0, width
    if crop == "clevr" and (height, width) not in _CLEVR:
        raise ImageSizeError(
            f"{key}: the crop 'clevr' is for images of 240×320 or 320×480 pixels, not of {height}×{width}; use another "
            "one with --set preprocess.crop=…, or none with --set preprocess.crop=none"
        )
    box = _CLEVR[height, width] if crop == "clevr" else _IODINE if crop == "iodine" else _parse(crop, height, width)
    top, bottom, left, right = box
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise ImageSizeError(
            f"{key}: the crop {top}:{bottom},{left}:{right} does not fit into an image of {height}×{width} pixels; "
            "use another one with --set preprocess.crop=…, or none with --set preprocess.crop=none"
        )
    return box


def _parse(crop: str, height: int, width: int) -> Box:
    if crop.startswith("centre:"):
        side = int(crop.removeprefix("centre:"))
        top, left = (height - side) // 2, (width - side) // 2
        return top, top + side, left, left + side
    top, bottom, left, right = (int(number) for part in crop.split(",") for number in part.split(":"))
    return top, bottom, left, right
