from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iodine_kit.errors import ImageSizeError
from iodine_kit.preprocessing import PreprocessConfig, preprocess
from iodine_kit.preprocessing.pixels import resize_bilinear, resize_nearest
from iodine_kit.records import Scene

GOLDEN = np.load(Path(__file__).parents[2] / "data" / "tf1_resize.npz", allow_pickle=False)
CASES = sorted({name.split("/")[0] for name in GOLDEN.files})


def scene(height: int, width: int) -> Scene:
    y, x = np.mgrid[:height, :width]
    return Scene("k", np.stack([y % 256, x % 256, (x + y) % 256], -1).astype(np.uint8), ((y + x) % 5).astype(np.uint8))


@pytest.mark.parametrize("case", CASES)
def test_resizing_is_that_of_tensorflow_1(case: str) -> None:
    image, mask, bilinear, nearest = (GOLDEN[f"{case}/{name}"] for name in ("image", "mask", "bilinear", "nearest"))
    size = len(bilinear)
    assert (resize_bilinear(image, size) == np.floor(bilinear + 0.5)).all()
    assert (resize_nearest(mask, size) == nearest).all()


def test_iodine_s_crop_is_rows_29_to_221_and_columns_64_to_256() -> None:
    given = scene(240, 320)
    done = preprocess(given, PreprocessConfig(crop="iodine"))
    assert (done.image == given.image[29:221, 64:256]).all() and (done.mask == given.mask[29:221, 64:256]).all()
    resized = preprocess(given, PreprocessConfig(crop="iodine", size=128))
    # A pixel of the result is 1.5 of the crop: every second one falls on a whole pixel, every third of the crop.
    assert (resized.image[::2, ::2] == done.image[::3, ::3]).all()
    assert (resized.mask[::2, ::2] == done.mask[::3, ::3]).all()


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [("none", (0, 240), (0, 320)), ("centre:192", (24, 216), (64, 256)), ("10:20,30:45", (10, 20), (30, 45))],
)
def test_crops(crop: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    given = scene(240, 320)
    done = preprocess(given, PreprocessConfig(crop=crop))
    assert (done.image == given.image[slice(*rows), slice(*columns)]).all()


@pytest.mark.parametrize("crop", ["iodine", "centre:193", "0:193,0:5"])
def test_a_crop_beyond_the_image_is_refused(crop: str) -> None:
    with pytest.raises(ImageSizeError, match="does not fit into an image of 192×192"):
        preprocess(scene(192, 192), PreprocessConfig(crop=crop))
