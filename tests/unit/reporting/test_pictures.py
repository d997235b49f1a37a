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


def test_rgb_survives() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    assert (np.asarray(decode(pictures.png(pixels))) == pixels).all()


def test_palette_gives_each_index_its_colour() -> None:
    mask = np.array([[0, 1], [2, 1]], np.uint8)
    palette = np.array([[1, 2, 3], [40, 50, 60], [250, 240, 230]], np.uint8)
    assert (np.asarray(decode(pictures.png(mask, palette)).convert("RGB")) == palette[mask]).all()


def test_slot_is_as_opaque_as_its_mask() -> None:
    component = np.full((1, 4, 3), 200, np.uint8)
    soft = np.array([[0, 1 / 3, 1, np.nan]], np.float16)
    pixels = np.asarray(decode(pictures.slot_picture(component, soft)))
    assert pixels[0, :, 3].tolist() == [0, 85, 255, 0]
    assert pixels[0, :, 0].tolist() == [0, 200, 200, 0]


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
    picture = decode(pictures.error_picture(np.array([[0, 0.05, 0.1, 7.0, np.inf]]), 0.1)).convert("L")
    first, half, *full = np.asarray(picture)[0].tolist()
    assert first < half < full[0] == full[1] == full[2]
    lightness = pictures.ramp(64).astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(lightness) > 0).all()
