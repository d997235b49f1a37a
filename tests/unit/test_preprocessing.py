from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iodine_kit.config import build
from iodine_kit.errors import ConfigError, ImageSizeError
from iodine_kit.preprocessing import (
    PreprocessConfig,
    count_objects,
    is_kept,
    preprocess,
    resize_bilinear,
    resize_nearest,
)
from iodine_kit.records import Scene

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "tf1_resize.npz", allow_pickle=False)
CASES = sorted({name.split("/")[0] for name in GOLDEN.files})


def gradient(height: int, width: int) -> Scene:
    """A scene in which every pixel has another colour."""
    y, x = np.mgrid[:height, :width]
    return Scene("k", np.stack([y % 256, x % 256, (x + y) % 256], -1).astype(np.uint8), ((y + x) % 5).astype(np.uint8))


def objects(visible: int, *, with_pixels: int | None = None) -> Scene:
    """A scene with this number of objects in its factors; those with pixels have one column each, from the left."""
    mask = np.zeros((8, 16), np.uint8)
    for index in range(1, (visible if with_pixels is None else with_pixels) + 1):
        mask[2:4, index] = index
    visibility = np.zeros(12, np.float32)
    visibility[: visible + 1] = 1
    return Scene("k", np.zeros((8, 16, 3), np.uint8), mask, {"visibility": visibility})


@pytest.mark.parametrize("case", CASES)
def test_resizing_equals_that_of_tensorflow_1(case: str) -> None:
    image, mask, bilinear, nearest = (GOLDEN[f"{case}/{name}"] for name in ("image", "mask", "bilinear", "nearest"))
    size = len(bilinear)
    assert (resize_bilinear(image, size) == np.floor(bilinear + 0.5)).all()
    assert (resize_nearest(mask, size) == nearest).all()


def test_the_crop_of_iodine_is_rows_29_to_221_and_columns_64_to_256() -> None:
    given = gradient(240, 320)
    cropped = preprocess(given, PreprocessConfig(crop="iodine"))
    assert (cropped.image == given.image[29:221, 64:256]).all() and (cropped.mask == given.mask[29:221, 64:256]).all()
    resized = preprocess(given, PreprocessConfig(crop="iodine", size=128))
    # One resized pixel is 1.5 pixels of the crop, so every second one coincides with every third one of the crop.
    assert (resized.image[::2, ::2] == cropped.image[::3, ::3]).all()
    assert (resized.mask[::2, ::2] == cropped.mask[::3, ::3]).all()


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [("none", (0, 240), (0, 320)), ("centre:192", (24, 216), (64, 256)), ("10:20,30:45", (10, 20), (30, 45))],
)
def test_a_crop_keeps_the_named_rows_and_columns(crop: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    given = gradient(240, 320)
    cropped = preprocess(given, PreprocessConfig(crop=crop))
    assert (cropped.image == given.image[slice(*rows), slice(*columns)]).all()


@pytest.mark.parametrize("crop", ["iodine", "centre:193", "0:193,0:5"])
def test_a_crop_beyond_the_image_is_refused(crop: str) -> None:
    with pytest.raises(ImageSizeError, match="does not fit into an image of 192×192"):
        preprocess(gradient(192, 192), PreprocessConfig(crop=crop))


def test_the_background_is_not_an_object() -> None:
    assert [count_objects(objects(n), (0,)) for n in (0, 1, 6)] == [0, 1, 6]
    assert count_objects(objects(6, with_pixels=4), (0,), by_pixels=True) == 4


def test_without_factors_the_indices_of_the_mask_are_counted() -> None:
    mask = np.array([[0, 1, 2, 3], [4, 4, 6, 0]], np.uint8)
    bare = Scene("k", np.zeros((2, 4, 3), np.uint8), mask)
    assert count_objects(bare, (0, 1, 2, 3)) == 2 and count_objects(bare, (0,)) == 5


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"max_objects": 6}, [3, 4, 5, 6]),
        ({"min_objects": 5, "max_objects": 5}, [5]),
        ({"max_objects": 5}, [3, 4, 5]),
        ({"min_objects": 7}, [7, 8]),
        ({}, [3, 4, 5, 6, 7, 8]),
    ],
)
def test_what_clevr6_means_depends_on_the_rule(values: dict[str, int], kept: list[int]) -> None:
    config = PreprocessConfig(**values)
    assert [n for n in range(3, 9) if is_kept(objects(n), objects(n), (0,), config)] == kept


def test_objects_that_the_crop_removed_are_counted_by_factors_but_not_by_pixels() -> None:
    given = objects(7)
    cropped = preprocess(given, PreprocessConfig(crop="0:8,0:7"))
    assert not is_kept(given, cropped, (0,), PreprocessConfig(max_objects=6))
    assert is_kept(given, cropped, (0,), PreprocessConfig(max_objects=6, count="pixels"))


def test_a_scene_with_an_unknown_number_of_objects_passes_no_filter() -> None:
    unknown = Scene("k", np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), {"visibility": np.zeros(11)})
    for count in ("factors", "pixels"):
        assert not is_kept(unknown, unknown, (0,), PreprocessConfig(max_objects=6, count=count))
    assert is_kept(unknown, unknown, (0,), PreprocessConfig())


@pytest.mark.parametrize(
    "values",
    [{"crop": "middle"}, {"crop": "5:5,0:5"}, {"crop": "0:5,9:3"}, {"min_objects": 5, "max_objects": 4}, {"size": 0}],
)
def test_invalid_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="preprocess"):
        build(PreprocessConfig, values, "preprocess")
