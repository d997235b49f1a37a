from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from iodine_kit.reporting import pictures


def decode(uri: str) -> Image.Image:
    head, data = uri.split(",", 1)
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_rgb_pixels_are_stored_exactly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    assert (np.asarray(decode(pictures.png(pixels))) == pixels).all()


def test_palette_gives_each_index_its_colour() -> None:
    mask = np.array([[0, 1], [2, 1]], np.uint8)
    palette = np.array([[1, 2, 3], [40, 50, 60], [250, 240, 230]], np.uint8)
    assert (np.asarray(decode(pictures.png(mask, palette)).convert("RGB")) == palette[mask]).all()


def test_slots_are_as_opaque_as_their_masks() -> None:
    soft = np.array([[[0, 1 / 31, 1, np.nan]], [[1, 0.5, 0, 2]]], np.float32)
    pixels = np.asarray(decode(pictures.opacity_strip(soft)).convert("RGBA"))
    assert pixels[0, :, 3].tolist() == [0, 8, 255, 0, 255, 132, 0, 255]  # 32 levels; 0.5 is level 16 of 31
    assert (pixels[0, :, :3] == 255).all()


def test_a_mask_strip_keeps_the_colours_of_each_palette() -> None:
    rng = np.random.default_rng(0)
    for colours in (3, 200):  # few enough for one palette, and too many
        frames = [
            (rng.integers(0, colours, (4, 5)).astype(np.uint8), rng.integers(0, 256, (colours, 3)).astype(np.uint8))
            for _ in range(3)
        ]
        strip = np.asarray(decode(pictures.mask_strip(frames)).convert("RGB"))
        assert (strip == np.concatenate([palette[mask] for mask, palette in frames], 1)).all()


def test_small_pictures_are_stored_without_loss_and_large_ones_with_loss() -> None:
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (8, 8, 3)).astype(np.uint8) for _ in range(2)]
    assert (np.asarray(decode(pictures.rgb_strip(small))) == np.concatenate(small, 1)).all()
    assert pictures.is_exact(64, 64) and not pictures.is_exact(65, 10)
    large = pictures.rgb_strip([np.full((65, 65, 3), 90, np.uint8)])
    assert large.startswith("data:image/webp;base64,")


def test_reconstruction_is_clipped_for_display_only() -> None:
    reconstruction = np.array([[[-0.5, 0.5, 1.5], [np.nan, 0, 1]]], np.float32)
    assert pictures.to_bytes(reconstruction).tolist() == [[[0, 128, 255], [0, 0, 255]]]
    error = pictures.absolute_error(np.zeros((1, 2, 3), np.uint8), reconstruction)
    assert error[0, 0] == 2.5 / 3 and np.isinf(error[0, 1])


def test_error_scale_is_shared_and_never_zero() -> None:
    assert pictures.error_limit([]) == pictures.error_limit([np.zeros((2, 2))]) == 1.0
    assert pictures.error_limit([np.full((2, 2), np.inf)]) == 1.0
    assert pictures.error_limit([np.zeros((1, 1)), np.full((10, 10), 0.123)]) == 0.1


def test_error_picture_goes_from_dark_to_bright() -> None:
    picture = Image.fromarray(pictures.error_colours(np.array([[0, 0.05, 0.1, 7.0, np.inf]]), 0.1)).convert("L")
    first, half, *full = np.asarray(picture)[0].tolist()
    assert first < half < full[0] == full[1] == full[2]
    lightness = pictures.ramp(64).astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(lightness) > 0).all()
