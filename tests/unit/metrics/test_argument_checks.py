"""Masks that do not fit are refused with an error that names the argument, and never scored silently."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iodine_kit.metrics import Comparison, ari, mse
from iodine_kit.records import PredictionBatch, SceneBatch

KEYS = ("a", "b")
TRUE = np.arange(2 * 6 * 8).reshape(2, 6, 8).astype(np.uint8) // 12 % 4


def _compare(true: Any = TRUE, predicted: Any = TRUE, keys: tuple[str, ...] = KEYS, **fields: Any) -> Comparison:
    image = np.zeros((2, 6, 8, 3), np.uint8)
    return Comparison(SceneBatch(KEYS, image, true), PredictionBatch(keys, predicted, **fields), (0,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"predicted": TRUE.swapaxes(1, 2)}, r"prediction\.mask has shape \[2, 8, 6\], and truth\.mask \[2, 6, 8\]"),
        ({"predicted": TRUE[:1]}, r"prediction\.mask has shape \[1, 6, 8\]"),
        ({"predicted": TRUE[..., None]}, r"prediction\.mask has shape \[2, 6, 8, 1\]"),
        ({"true": TRUE[0]}, r"truth\.mask has shape \[6, 8\], not \[B, H, W\]"),
        ({"true": TRUE[:1], "predicted": TRUE[:1]}, r"truth\.mask has 1 scenes, and truth\.keys 2"),
        ({"keys": ("a", "c")}, r"prediction\.keys differ from truth\.keys: scene 1 is 'c', not 'b'"),
        ({"keys": ("a",)}, r"prediction\.keys has 1 scenes, and truth\.keys 2"),
        ({"true": TRUE == 1}, r"truth\.mask is bool, not integers: one id per pixel"),
        ({"predicted": TRUE.astype(np.float32)}, r"prediction\.mask is float32, not integers.*arg max"),
        ({"predicted": TRUE.astype(np.int64) - 1}, r"prediction\.mask has ids from -1 to 2; they must be in 0…255"),
        ({"true": TRUE.astype(np.int32) * 100}, r"truth\.mask has ids from 0 to 300; they must be in 0…255"),
        ({"step_mask": TRUE}, r"prediction\.step_mask has shape \[2, 6, 8\], not \[2, T\+1, 6, 8\]"),
        ({"latent_loc": np.zeros((2, 3, 5), np.float32)}, r"prediction\.mask has slot id 3, and there are 3 slots"),
        ({"soft_mask": np.zeros((2, 2, 6, 8))}, r"prediction\.mask has slot id 3, and there are 2 slots"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _compare(**arguments)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">i4"])
def test_masks_may_be_integers_of_any_width(dtype: str) -> None:
    rng = np.random.default_rng(0)
    predicted = rng.integers(0, 5, TRUE.shape)
    expected = ari.score(_compare(predicted=predicted.astype(np.uint8))).values
    found = _compare(TRUE.astype(dtype), predicted.astype(dtype), step_mask=predicted[:, None].astype(dtype))
    np.testing.assert_array_equal(ari.score(found).values, expected)
    np.testing.assert_array_equal(ari.score(next(found.steps())).values, expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"prediction\.reconstruction is needed"),
        (
            {"reconstruction": np.zeros((2, 8, 6, 3), np.float32)},
            r"prediction\.reconstruction has shape \[2, 8, 6, 3\]",
        ),
        ({"reconstruction": np.zeros((2, 6, 8, 3), np.uint8)}, r"prediction\.reconstruction is uint8, not floats"),
    ],
)
def test_images_are_checked_where_they_are_compared(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mse.score(_compare(**fields))


def test_masks_of_the_usual_type_are_not_copied() -> None:
    assert _compare().truth.mask is TRUE
