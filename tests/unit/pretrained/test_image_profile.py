"""Statistics that detect images unlike those that a model was trained on."""

from __future__ import annotations

import numpy as np

from iodine_kit.pretrained.image_profile import difference, measure


def scenes(background: int, size: int = 10, seed: int = 0) -> np.ndarray:
    """A bright square on a background of one grey level."""
    draw = np.random.default_rng(seed)
    images = np.full((8, size, size, 3), background, np.uint8)
    images[:, 2:5, 2:5] = draw.integers(100, 256, (8, 1, 1, 3))
    return images


def test_the_statistics_equal_those_of_numpy_in_the_range_of_an_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    measured = measure(images)
    assert (measured.height, measured.width) == (4, 5)
    for channel in range(3):
        pixels = images[..., channel].astype(float) / 255
        values = (measured.median[channel], measured.mean[channel], measured.std[channel])
        np.testing.assert_allclose(values, (np.median(pixels), pixels.mean(), pixels.std()), atol=1e-4)


def test_images_of_the_same_distribution_are_similar() -> None:
    assert difference(measure(scenes(0)), measure(scenes(0, seed=1))) == ""
    assert difference(measure(scenes(0)), measure(scenes(20, seed=1))) == ""


def test_another_size_another_background_and_low_contrast_are_reported() -> None:
    trained = measure(scenes(0))
    assert difference(trained, measure(scenes(0, 12))) == (
        "the model was trained on images of 10×10 pixels, but these have 12×12"
    )
    assert "the median of their channels is 1.00 1.00 1.00, but was 0.00 0.00 0.00" in difference(
        trained, measure(scenes(255))
    )
    dark = measure(scenes(0) // 10)
    assert "contrast (standard deviation)" in difference(trained, dark)
    both = difference(trained, measure(scenes(255, 12)))
    assert both.count("; ") == 1 and "12×12" in both and "median" in both
