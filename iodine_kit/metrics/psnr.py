"""Peak signal-to-noise ratio of the reconstruction."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores

VERSION = 1
TITLE = "PSNR"
NEEDS = "reconstruction"
UNIT = "dB"
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = False
SMALLEST = 1e-10
"""Errors below this one count as this one."""
CONVENTION = (
    "−10·log₁₀ of the scene's mean squared error over pixels and channels, of the mixture's mean image, not "
    "clipped, and the input, both in [0, 1] (peak 1); the mean of it is over scenes in dB, which is not that of the "
    "mean error. An error below 10⁻¹⁰, of an exact reconstruction too, counts as 10⁻¹⁰: 100 dB."
)

IGNORED = "The error is the mean over the pixels that are not ignored."


def score(comparison: Comparison) -> Scores:
    """PSNR of every scene in dB, at most 100; see :class:`iodine_kit.metrics.MetricPlugin`."""
    error_B = comparison.squared_error_B
    return Scores(-10 * np.log10(np.maximum(error_B, SMALLEST)), error_B < SMALLEST)
