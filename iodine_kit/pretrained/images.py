"""What images a model was trained on, in a few numbers, and how others differ from them."""

from __future__ import annotations

import numpy as np

from iodine_kit.config import Config
from iodine_kit.records import Bytes

Colour = tuple[float, float, float]
LARGEST_SHIFT = 0.2
"""Of a channel's median or mean, in the [0, 1] of an image, above which other images are called different."""
LARGEST_FACTOR = 3.0
"""Between standard deviations, the same; 8-bit images of one colour have none."""
_SMALLEST_STD = 0.02


class ImageStatistics(Config):
    """Size in pixels; median, mean and standard deviation of every channel, R, G, B, over pixels in [0, 1]."""

    height: int
    width: int
    median: Colour
    mean: Colour
    std: Colour


def measure(image_BHWC: Bytes) -> ImageStatistics:
    """The statistics of images ``uint8[B, H, W, 3]``."""
    pixels = image_BHWC.reshape(-1, 3) / 255
    return ImageStatistics(
        height=image_BHWC.shape[1],
        width=image_BHWC.shape[2],
        median=_rounded(np.median(pixels, 0)),
        mean=_rounded(pixels.mean(0)),
        std=_rounded(pixels.std(0)),
    )


def difference(trained: ImageStatistics, found: ImageStatistics) -> str:
    """Say how images differ from those of training, for one note; "" if they are alike.

    Size and range only: whether they show the same kind of things cannot be told from numbers like these.
    """
    told = []
    if (trained.height, trained.width) != (found.height, found.width):
        told.append(
            f"the model was trained on images of {trained.height}×{trained.width} pixels, and these are "
            f"{found.height}×{found.width}"
        )
    for name in ("median", "mean"):
        mine, theirs = getattr(trained, name), getattr(found, name)
        if max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) > LARGEST_SHIFT:
            told.append(f"the {name} of the images' channels is {_shown(theirs)}, and was {_shown(mine)} in training")
            break
    else:
        if _factor(trained.std, found.std) > LARGEST_FACTOR:
            told.append(f"their contrast (standard deviation) is {_shown(found.std)}, and was {_shown(trained.std)}")
    return "; ".join(told)


def _factor(one: Colour, other: Colour) -> float:
    pairs = [(max(a, _SMALLEST_STD), max(b, _SMALLEST_STD)) for a, b in zip(one, other, strict=True)]
    return max(max(a / b, b / a) for a, b in pairs)


def _rounded(values: np.ndarray) -> Colour:
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue


def _shown(colour: Colour) -> str:
    return " ".join(f"{value:.2f}" for value in colour)
