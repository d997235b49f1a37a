"""Structural similarity of the reconstruction (Wang et al. 2004)."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._ssim import structural_similarity

VERSION = 1
TITLE = "SSIM"
NEEDS = "reconstruction"
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = False
CONVENTION = (
    "Structural similarity of the mixture's mean image, not clipped, and the input, both in [0, 1] (range 1): "
    "Gaussian window of 11×11 pixels with σ = 1.5, population covariances, K₁ = 0.01, K₂ = 0.03; mean over all "
    "windows that lie inside the image and over the channels, each by itself, as by scikit-image's "
    "structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False). A scene lower or "
    "narrower than 11 pixels is undefined and omitted."
)

IGNORED = "The mean is over the windows without a pixel to ignore; a scene that has none is undefined and omitted."


def score(comparison: Comparison) -> Scores:
    """SSIM of every scene, in [−1, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    return Scores(structural_similarity(*comparison.images, comparison.device, comparison.kept_of_images))
