"""Folders of pictures: what is found is said before any work, and where names allow two readings, one sentence asks."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from support import Command, put, scene


def prepare(run: Command, source: str, *options: str, status: int = 0) -> tuple[Path, str]:
    """Prepare a folder: the path of the data set, and everything that was said."""
    made = run("prepare", "folder", "--source", source, *options, status=status)
    return Path(made.stdout.strip()), made.stderr


def contents(run: Command, tmp_path: Path, source: str, *options: str) -> dict[str, tuple[int, int]]:
    """By split: the number of scenes, and how many of them have a mask."""
    dataset, _ = prepare(run, source, *options)
    found = {}
    for file in sorted((tmp_path / dataset).glob("*.h5")):
        with h5py.File(file) as shard:
            mask = shard["mask"][:]
        found[file.stem] = len(mask), int(mask.any(axis=(1, 2)).sum())
    return found


def keys(tmp_path: Path, dataset: Path, split: str = "train") -> list[str]:
    with h5py.File(tmp_path / dataset / f"{split}.h5") as shard:
        return [str(key) for key in shard["key"].asstr()[:]]


def pairs(tmp_path: Path, image: str, mask: str, count: int = 4) -> None:
    """``count`` images and their masks; ``{}`` in the names is the number."""
    for number in range(count):
        pixels, index = scene(number)
        put(tmp_path / image.format(number), pixels)
        put(tmp_path / mask.format(number), index)


# From public reports


@pytest.mark.parametrize("name", ["labels", "Masks", "annotations", "mask"])
def test_masks_under_a_usual_name(iodine_kit: Command, tmp_path: Path, name: str) -> None:
    pairs(tmp_path, "in/images/{:03}.png", f"in/{name}/{{:03}}.png")
    assert contents(iodine_kit, tmp_path, "in") == {"train": (4, 4)}


@pytest.mark.parametrize(
    "names", [("train", "valid", "test"), ("training", "validation", "testing"), ("Train", "Val", "Test")]
)
def test_splits_under_a_usual_name(iodine_kit: Command, tmp_path: Path, names: tuple[str, ...]) -> None:
    for number in range(9):
        put(tmp_path / f"in/{names[number // 3]}/{number % 3}.png", scene(number)[0])
    assert contents(iodine_kit, tmp_path, "in") == {"train": (3, 0), "val": (3, 0), "test": (3, 0)}


def test_pictures_that_are_passed_over_are_counted(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"in/{number}.jpg", scene(number)[0])
        put(tmp_path / f"in/{number + 3}.jfif", scene(number + 3)[0], format="JPEG")
        put(tmp_path / f"in/{number + 6}.gif", scene(number + 6)[0])
    dataset, said = prepare(iodine_kit, "in")
    assert len(keys(tmp_path, dataset)) == 6
    assert "3 files skipped (3 .gif)" in said


def test_a_folder_for_every_scene(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/s{:04}/images/rgb.png", "in/s{:04}/masks/rgb.png", 12)
    dataset, _ = prepare(iodine_kit, "in")
    assert keys(tmp_path, dataset) == [f"s{number:04}/rgb" for number in range(12)]


def test_pictures_named_as_the_generator_of_clevr_names_them(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"in/images/CLEVR_new_{number:06}.png", np.full((24, 32, 3), 90 + number, np.uint8))
    dataset, _ = prepare(iodine_kit, "in/images")
    assert len(keys(tmp_path, dataset)) == 3
