"""Crop and resize, as published."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import ImageSizeError
from iodine_kit.preprocessing.config import PreprocessConfig
from iodine_kit.records import Array, Bytes, Floats, Scene

Size = tuple[int, int]
Box = tuple[int, int, int, int]
_IODINE: Box = (29, 221, 64, 256)
"""deepmind-research/iodine, modules/data.py: the middle of the table, without the empty margin."""


def preprocess(scene: Scene, config: PreprocessConfig) -> Scene:
    """Return the scene with its image and mask cropped and resized.

    Raises:
        ImageSizeError: if the crop reaches beyond the image.
    """
    height, width = scene.mask.shape
    top, bottom, left, right = _box(config.crop, height, width, scene.key)
    image, mask = scene.image[top:bottom, left:right], scene.mask[top:bottom, left:right]
    if config.size is not None and mask.shape != (config.size, config.size):
        image, mask = resize_bilinear(image, config.size), resize_nearest(mask, config.size)
    return Scene(scene.key, np.ascontiguousarray(image), np.ascontiguousarray(mask), scene.factors)


def resize_bilinear(image: Bytes, size: int) -> Bytes:
    """Resize ``uint8[H, W, 3]`` to a square as ``tf.compat.v1.image.resize_bilinear`` did, rounded to 8 bits.

    Pixel i of the result samples position i·H/size of the image: no half-pixel centres, no antialiasing.
    """
    (y0, y1, fy), (x0, x1, fx) = (_taps(length, size) for length in image.shape[:2])
    # Rows of bytes rather than of pixels: gathering from a last axis of three is several times as slow.
    flat, channel = image.reshape(len(image), -1), np.arange(3)
    left, right = (flat.take((3 * x[:, None] + channel).ravel(), axis=1) for x in (x0, x1))
    rows = _between(left, right, np.repeat(fx, 3))
    values = _between(rows.take(y0, axis=0), rows.take(y1, axis=0), fy[:, None])
    values += np.float32(0.5)
    return values.astype(np.uint8).reshape(size, size, 3)


def _between(first: Array, second: Array, fraction: Floats) -> Floats:
    """``first + (second - first) · fraction`` in single precision; may overwrite its arguments."""
    start, values = first.astype(np.float32, copy=False), second.astype(np.float32, copy=False)
    values -= start
    values *= fraction
    values += start
    return values


def resize_nearest(mask: Bytes, size: int) -> Bytes:
    """Resize ``uint8[H, W]`` to a square as ``tf.compat.v1.image.resize_nearest_neighbor`` did: pixel ⌊i·H/size⌋."""
    (y, _, _), (x, _, _) = (_taps(length, size) for length in mask.shape)
    return mask[y[:, None], x[None, :]]


@lru_cache(maxsize=16)
def _taps(length: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Per output pixel the two pixels it lies between and how far from the first, in single precision as in TF."""
    position = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
    lower = np.minimum(np.floor(position).astype(np.int64), length - 1)
    upper = np.minimum(lower + 1, length - 1)
    return lower, upper, position - np.floor(position)


def _box(crop: str, height: int, width: int, key: str) -> Box:
    """The crop as rows ``top:bottom`` and columns ``left:right``."""
    if crop == "none":
        return 0, height, 0, width
    box = _IODINE if crop == "iodine" else _parse(crop, height, width)
    top, bottom, left, right = box
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise ImageSizeError(
            f"{key}: crop {top}:{bottom},{left}:{right} does not fit into an image of {height}×{width}; "
            "choose another with --set preprocess.crop=…, or none"
        )
    return box


def _parse(crop: str, height: int, width: int) -> Box:
    if crop.startswith("centre:"):
        side = int(crop.removeprefix("centre:"))
        top, left = (height - side) // 2, (width - side) // 2
        return top, top + side, left, left + side
    top, bottom, left, right = (int(number) for part in crop.split(",") for number in part.split(":"))
    return top, bottom, left, right


def nearest(images: Array, size: Size) -> Array:
    """Resize ``[…, H, W]`` by nearest neighbour: the pixel under the new one's centre, the later one on a border."""
    height, width = images.shape[-2:]
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in ((height, size[0]), (width, size[1])))
    return images[..., rows[:, None], columns]
