"""Arrays of images and masks: pairs by name, the meaning of shapes, and pickles, which are never opened."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.layouts import Expected, npy
from iodine_kit.records import Array, DatasetInfo, Scene

N, K, H, W = 3, 5, 6, 8
EXPECTED = Expected("multi-dsprites", DatasetInfo("multi-dsprites", H, W, K), {}, {})
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (N, H, W, 3), np.uint8)
MASK = RNG.integers(0, K, (N, H, W), np.uint8)
ONE_HOT = MASK[:, None] == np.arange(K)[:, None, None]


def write(folder: Path, images: Array = IMAGE, masks: Array = MASK, name: str = "{}_rand4.npy") -> Path:
    np.save(folder / name.format("training_images"), images)
    np.save(folder / name.format("training_masks"), masks)
    return folder


def read(*paths: Path, expected: Expected = EXPECTED, **config: Any) -> list[tuple[str, Scene]]:
    options = npy.Config(**config)
    items = npy.items(paths, expected, options)
    return [(item.split, scene) for item in items for scene in npy.scenes(item, "key", expected, options)]


def check(scenes: list[tuple[str, Scene]]) -> None:
    assert len(scenes) == N
    for row, (split, scene) in enumerate(scenes):
        assert split == "train" and (scene.image == IMAGE[row]).all() and (scene.mask == MASK[row]).all()
        assert type(scene.image) is np.ndarray and scene.image.flags.owndata


def test_files_of_genesis(tmp_path: Path) -> None:
    write(tmp_path, (IMAGE / 255).astype(np.float32), MASK[..., None].astype(np.float64))
    check(read(tmp_path))
    check(read(tmp_path / "training_images_rand4.npy"))
    assert npy.files([tmp_path / "training_images_rand4.npy"], npy.Config()) == sorted(tmp_path.iterdir())
    assert npy.recognises(tmp_path) and npy.recognises(tmp_path / "training_images_rand4.npy")
    assert not npy.recognises(tmp_path / "training_masks_rand4.npy")


@pytest.mark.parametrize("images", [IMAGE, np.moveaxis(IMAGE, -1, 1), np.asfortranarray(IMAGE)])
@pytest.mark.parametrize(
    "masks",
    [
        MASK,
        MASK[..., None],
        ONE_HOT,
        ONE_HOT[..., None] * np.uint8(255),
        ONE_HOT[:, :, None],
        np.moveaxis(ONE_HOT, 1, -1),
    ],
)
def test_shapes_say_the_order_of_axes(tmp_path: Path, images: Array, masks: Array) -> None:
    check(read(write(tmp_path, images, masks)))


@pytest.mark.parametrize("name", ["train_{}.npy", "train-{}-v2.npy", "Train{}.npy"])
@pytest.mark.parametrize("words", [("images", "masks"), ("imgs", "masks"), ("data", "mask")])
def test_images_and_masks_are_paired_by_name(tmp_path: Path, name: str, words: tuple[str, str]) -> None:
    if name.startswith("T"):
        words = f"_{words[0].title()}", f"_{words[1].title()}"
    np.save(tmp_path / name.format(words[0]), IMAGE)
    np.save(tmp_path / name.format(words[1]), MASK)
    np.save(tmp_path / "metadata.npy", np.zeros(3))
    check(read(tmp_path))


def test_masks_may_be_declared_missing(tmp_path: Path) -> None:
    np.save(tmp_path / "test_images.npy", IMAGE)
    with pytest.raises(SourceError, match=r"test_images.npy: its masks are missing; add test_masks.npy"):
        read(tmp_path)
    scenes = read(tmp_path, masks=False)
    assert [split for split, _ in scenes] == ["test"] * N and not any(scene.mask.any() for _, scene in scenes)
    assert not any(scene.has_mask for _, scene in scenes)


def test_missing_or_ambiguous_images_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "val_masks.npy", MASK)
    with pytest.raises(SourceError, match=r"val_masks.npy: its images are missing; add val_images.npy"):
        read(tmp_path)
    for name in ("val_images.npy", "val_images_unique.npy", "val_masks_unique.npy"):
        np.save(tmp_path / name, IMAGE)
    with pytest.raises(SourceError, match="are both 'val'"):
        read(tmp_path)
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "labels.npy", IMAGE)
    with pytest.raises(SourceError, match=r"no .npy file has 'images', 'imgs' or 'data' in its name"):
        read(tmp_path / "other")


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (IMAGE, MASK[:2], r"masks_rand4.npy: has shape \[2, 6, 8\] for 3 images"),
        (IMAGE, MASK + 1, "masks_rand4.npy: row 0: mask has indices 1 to 5; there are at most 5"),
        (IMAGE, MASK / 2, "indices are not whole numbers"),
        (IMAGE, MASK * np.nan, "indices are not whole numbers"),
        (IMAGE, np.zeros((N, K, H)), "can be read in no way"),
        (IMAGE, np.zeros((N, 300, H, W)), "masks of 300 entities"),
        (IMAGE, ONE_HOT | True, "belongs to 5 entities"),
        (IMAGE, MASK.astype("S1"), "not of numbers"),
        (IMAGE[:, :4], MASK, "images are 4×8, those of multi-dsprites 6×8"),
        (IMAGE[:, :3], MASK, r"\[3, 8, 3\] is not clearly an image"),
        (IMAGE * 1.5, MASK, "neither bytes nor from 0 to 1"),
        (IMAGE * np.nan, MASK, "neither bytes nor from 0 to 1"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, images: Array, masks: Array, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        read(write(tmp_path, images, masks))


def test_a_shape_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    square = Expected("multi-dsprites", DatasetInfo("multi-dsprites", H, H, 10), {}, {})
    write(tmp_path, IMAGE[:, :, :H], np.zeros((N, H, H, H), np.uint8))
    with pytest.raises(SchemaError, match=r"masks \[6, 6, 6\] of an image of 6×6 can be read in two ways"):
        read(tmp_path, expected=square)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("which", ["images", "masks"])
@pytest.mark.parametrize("raw", [True, False])
def test_a_pickle_is_not_opened(tmp_path: Path, which: str, raw: bool) -> None:
    bomb, path = Bomb(tmp_path / "created"), write(tmp_path) / f"training_{which}_rand4.npy"
    path.write_bytes(pickle.dumps(bomb)) if raw else np.save(path, np.array([bomb], dtype=object), allow_pickle=True)
    npy.recognises(path)
    with pytest.raises(SchemaError, match=f"training_{which}_rand4.npy holds a pickle"):
        read(tmp_path)
    assert not bomb.path.exists()


def test_the_error_for_damage_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path) / "training_images_rand4.npy"
    whole = path.read_bytes()
    for content in (b"", whole[:50], whole[:-1], b"PK\x03\x04 a zip"):
        path.write_bytes(content)
        with pytest.raises(CorruptDataError, match=r"training_images_rand4\.npy"):
            read(tmp_path)


def test_rows_stay_on_disk(tmp_path: Path) -> None:
    """A sparse file of 4 TB: reading a row costs only that row."""
    write(tmp_path)
    for name, shape in (("images", (1 << 30, H, W, 3)), ("masks", (1 << 30, H, W))):
        with (tmp_path / f"training_{name}_rand4.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            file.truncate(file.tell() + int(np.prod(shape)))
    item = next(iter(npy.items([tmp_path], EXPECTED, npy.Config())))
    assert not npy.scenes(item, "key", EXPECTED, npy.Config())[0].image.any()
