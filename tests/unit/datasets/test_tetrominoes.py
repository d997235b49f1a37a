from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iodine_kit.datasets import tetrominoes
from iodine_kit.datasets._tetromino_pieces import (
    COLOUR_NAMES,
    PICTURES,
    ColourName,
    Holdout,
    brightness,
    cell_shading,
    held_out_rows,
    silhouette,
)
from iodine_kit.layouts import Expected, multi_object_datasets
from iodine_kit.records import Scene

BEFORE = "90516cc196c80803a23944b82839fb9e7da4dbcdcef5108a0af618de3b3b5068"


def published(path: Path) -> list[Scene]:
    config, layout = tetrominoes.Config(), multi_object_datasets
    expected = Expected("tetrominoes", tetrominoes.info(config), tetrominoes.fields(config), tetrominoes.SCHEMAS)
    items = layout.items([path], expected, layout.Config())
    return [layout.scenes(item, str(i), expected, layout.Config())[0] for i, item in enumerate(items)]


def test_ten_published_scenes_are_redrawn_from_their_factors_byte_for_byte(mini: Path) -> None:
    scenes = published(mini)
    assert len(scenes) == 10
    for scene in scenes:
        pieces = (scene.factors[name][1:] for name in ("shape", "x", "y", "color"))
        image, mask = tetrominoes.draw(*pieces)
        assert (image == scene.image).all() and (mask == scene.mask).all()
        assert scene.factors["visibility"].tolist() == [1, 1, 1, 1]


def test_the_first_published_scene_equals_the_values_of_another_parser(mini: Path) -> None:
    """The expected values were read with protobuf, so that reader and drawing cannot be wrong in the same way."""
    first = published(mini)[0]
    assert first.image.shape == (35, 35, 3) and first.mask.max() == 3
    assert np.bincount(first.mask.ravel()).tolist() == [925, 100, 100, 100]


def test_the_19_shapes_are_all_rotations_of_all_tetrominoes() -> None:
    def rotations(picture: str) -> set[bytes]:
        cells = np.array([[c == "#" for c in row] for row in picture.split("/")], np.uint8)
        turned = [np.rot90(cells, k) for k in range(4)]
        return {bytes(t.shape) + t.tobytes() for t in turned}

    drawn = [silhouette(shape, 1) for shape in range(1, 20)]
    assert all(shape.sum() == 4 for shape in drawn)
    known = {bytes(shape.shape) + shape.tobytes() for shape in drawn}
    assert len(known) == 19
    # I, O, T, S, Z, L and J in all their rotations are 2 + 1 + 4 + 2 + 2 + 4 + 4 = 19.
    assert set().union(*(rotations(picture) for picture in PICTURES)) == known


def test_another_cell_size_keeps_the_mean_brightness() -> None:
    for cell in (1, 2, 3, 4, 7, 10):
        assert cell_shading(cell).mean() == pytest.approx(cell_shading(5).mean(), abs=1)
        assert brightness(19, cell).shape == (2 * cell, 2 * cell)


def test_generated_scenes_have_the_published_distribution() -> None:
    config = tetrominoes.Config(cell=2)
    scenes = [tetrominoes.generate(config, np.random.default_rng(i), str(i)) for i in range(3000)]
    shapes = Counter(int(s) for scene in scenes for s in scene.factors["shape"][1:])
    assert sorted(shapes) == list(range(1, 20))
    assert all((np.bincount(scene.mask.ravel()) == [148, 16, 16, 16]).all() for scene in scenes[:100])
    colours = Counter(tuple(c) for scene in scenes for c in scene.factors["color"][1:])
    assert len(colours) == 6 and max(colours.values()) < 1.15 * min(colours.values())
    # Rejecting whole scenes makes large pieces rarer than the square, which is easiest to place.
    assert shapes[19] > shapes[1]
    # S and Z pieces (ids 11 to 14) in 49.7 % of published scenes, by another project's count of all 100,000.
    with_sz = np.mean([bool(set(scene.factors["shape"][1:]) & {11, 12, 13, 14}) for scene in scenes])
    assert with_sz == pytest.approx(0.4967, abs=0.04)


def test_a_scene_depends_on_its_random_stream_only() -> None:
    first, second = (tetrominoes.generate(tetrominoes.Config(), np.random.default_rng(3), "k") for _ in range(2))
    assert (first.image == second.image).all() and (first.mask == second.mask).all()


def held_out_pieces(scene: Scene, holdout: Holdout) -> int:
    """Combinations in a scene, from the colours of the image and the factor of shape."""
    channels = {"blue": (0, 0, 1), "green": (0, 1, 0), "cyan": (0, 1, 1), "red": (1, 0, 0), "magenta": (1, 0, 1),
                "yellow": (1, 1, 0)}  # fmt: skip
    colours = [tuple((scene.image[scene.mask == i] > 0).any(0)) for i in range(1, int(scene.mask.max()) + 1)]
    wanted = {channels[name] for name in holdout.color}
    shapes = scene.factors["shape"][1:]
    return sum(shape in holdout.shape and colour in wanted for shape, colour in zip(shapes, colours, strict=True))


@given(
    shape=st.sets(st.integers(1, 19), min_size=1, max_size=9),
    color=st.sets(st.sampled_from(COLOUR_NAMES), min_size=1, max_size=6),
    seed=st.integers(0, 2**32),
    split=st.sampled_from(["train", "val", "test", "test_2", ""]),
)
@settings(max_examples=60)
def test_held_out_combinations_are_in_every_scene_of_their_splits_and_in_no_other(
    shape: set[int], color: set[ColourName], seed: int, split: str
) -> None:
    holdout = Holdout(shape=tuple(shape), color=tuple(color), splits=("test",))
    scene = tetrominoes.generate(
        tetrominoes.Config(cell=1, holdout=holdout), np.random.default_rng(seed), f"{split}-00000003"
    )
    found = held_out_pieces(scene, holdout)
    assert (found > 0) == (split == "test")
    assert held_out_rows(holdout, scene.factors).sum() == found


def test_without_a_holdout_neither_bytes_nor_configuration_change() -> None:
    scene = tetrominoes.generate(tetrominoes.Config(cell=2), np.random.default_rng(11), "train-00000000")
    # Computed before hold-outs were implemented.
    assert hashlib.sha256(scene.image.tobytes() + scene.mask.tobytes()).hexdigest() == BEFORE
    assert tetrominoes.Config(cell=2).model_dump(mode="json") == {"cell": 2, "pieces": 3}


def test_a_holdout_of_more_than_half_of_the_combinations_is_refused() -> None:
    with pytest.raises(ValueError, match="holds out 53 % of all combinations: hold out at most half of them"):
        Holdout(shape=tuple(range(1, 11)), color=COLOUR_NAMES)
