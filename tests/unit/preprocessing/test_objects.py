from __future__ import annotations

import numpy as np
import pytest

from iodine_kit.config import build
from iodine_kit.errors import ConfigError
from iodine_kit.preprocessing import PreprocessConfig, count_objects, is_kept, preprocess
from iodine_kit.records import Scene


def scene(visible: int, *, shown: int | None = None) -> Scene:
    """A scene of so many objects by its factors, of which some show pixels: one per column from the left."""
    mask = np.zeros((8, 16), np.uint8)
    for index in range(1, (visible if shown is None else shown) + 1):
        mask[2:4, index] = index
    visibility = np.zeros(12, np.float32)
    visibility[: visible + 1] = 1
    return Scene("k", np.zeros((8, 16, 3), np.uint8), mask, {"visibility": visibility})


def test_the_background_is_not_an_object() -> None:
    assert [count_objects(scene(n), (0,)) for n in (0, 1, 6)] == [0, 1, 6]
    assert count_objects(scene(6, shown=4), (0,), by_pixels=True) == 4


def test_without_factors_the_mask_counts() -> None:
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
    assert [n for n in range(3, 9) if is_kept(scene(n), scene(n), (0,), config)] == kept


def test_objects_that_the_crop_removed_count_by_factors_only() -> None:
    given = scene(7)
    cropped = preprocess(given, PreprocessConfig(crop="0:8,0:7"))
    assert not is_kept(given, cropped, (0,), PreprocessConfig(max_objects=6))
    assert is_kept(given, cropped, (0,), PreprocessConfig(max_objects=6, count="pixels"))


@pytest.mark.parametrize(
    "values",
    [{"crop": "middle"}, {"crop": "5:5,0:5"}, {"crop": "0:5,9:3"}, {"min_objects": 5, "max_objects": 4}, {"size": 0}],
)
def test_bad_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="preprocess"):
        build(PreprocessConfig, values, "preprocess")


def test_a_scene_of_which_nothing_is_known_fits_no_filter() -> None:
    unknown = Scene("k", np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), {"visibility": np.zeros(11)})
    for count in ("factors", "pixels"):
        assert not is_kept(unknown, unknown, (0,), PreprocessConfig(max_objects=6, count=count))
    assert is_kept(unknown, unknown, (0,), PreprocessConfig())
