"""Statistics of the images that a model was trained on, and how other images differ from them."""

from __future__ import annotations

import numpy as np

from iodine_kit.config import Config
from iodine_kit.records import Bytes

Colour = tuple[float, float, float]
LARGEST_SHIFT = 0.2
"""Largest difference of a channel's median or mean, in [0, 1], between images that count as similar."""
LARGEST_FACTOR = 3.0
"""Largest ratio of standard deviations between images that count as similar."""
_SMALLEST_STD = 0.02
"""Smaller standard deviations count as this one: those of images of one colour are 0."""


class ImageStatistics(Config):
    """Size in pixels; median, mean and standard deviation of the channels R, G, B over all pixels, in [0, 1]."""

    height: int
    width: int
    median: Colour
    mean: Colour
    std: Colour


def measure(image_BHWC: Bytes) -> ImageStatistics:
    """Compute the statistics of images ``uint8[B, H, W, 3]``."""
    pixels = image_BHWC.reshape(-1, 3) / 255
    return ImageStatistics(
        height=image_BHWC.shape[1],
        width=image_BHWC.shape[2],
        median=_rounded(np.median(pixels, 0)),
        mean=_rounded(pixels.mean(0)),
        std=_rounded(pixels.std(0)),
    )


def difference(trained: ImageStatistics, given: ImageStatistics) -> str:
    """Describe how images differ from the training images, as text for one note; "" if they are similar.

    Compares size and range only; these statistics do not show whether the images have the same kind of content.
    """
    differences = []
    if (trained.height, trained.width) != (given.height, given.width):
        differences.append(
            f"the model was trained on images of {trained.height}×{trained.width} pixels, but these have "
            f"{given.height}×{given.width}"
        )
    for name in ("median", "mean"):
        before, now = getattr(trained, name), getattr(given, name)
        if max(abs(a - b) for a, b in zip(before, now, strict=True)) > LARGEST_SHIFT:
            differences.append(f"the {name} of their channels is {_shown(now)}, but was {_shown(before)} in training")
            break
    else:
        if _factor(trained.std, given.std) > LARGEST_FACTOR:
            before, now = _shown(trained.std), _shown(given.std)
            differences.append(f"their contrast (standard deviation) is {now}, but was {before} in training")
    return "; ".join(differences)


def _factor(one: Colour, other: Colour) -> float:
    pairs = [(max(a, _SMALLEST_STD), max(b, _SMALLEST_STD)) for a, b in zip(one, other, strict=True)]
    return max(max(a / b, b / a) for a, b in pairs)


def _rounded(values: np.ndarray) -> Colour:
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue


def _shown(colour: Colour) -> str:
    return " ".join(f"{value:.2f}" for value in colour)
