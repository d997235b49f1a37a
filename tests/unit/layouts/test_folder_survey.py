"""What names of folders mean, what a survey costs, and which keys scenes get."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.layouts.surveyed import MASK, save, survey

from iodine_kit.errors import SchemaError, SourceError
from iodine_kit.layouts import _folder_listing
from iodine_kit.layouts._folder_names import Meaning, image_forms, list_split, mask_forms, meaning, numbered


def keys(*roots: Path, **config: Any) -> list[tuple[str, str]]:
    return [(record.split, record.key) for record in survey(*roots, **config).records]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("JPEGImages", Meaning("images")),
        ("leftImg8bit", Meaning("images")),
        ("instance_images", Meaning("images")),
        ("SegmentationObject", Meaning("masks")),
        ("MASKS", Meaning("masks")),
        ("instances", Meaning("masks")),
        ("gtFine", Meaning("masks")),
        ("mask_images", Meaning("masks")),
        ("val2017", Meaning("", "val")),
        ("Train_Masks", Meaning("masks", "train")),
        ("imagesTs", Meaning("images", "test")),
        ("stage1_test", Meaning("", "test", sure=False)),
        ("testA", Meaning("", "test", sure=False)),
        ("with_mask", Meaning("", sure=False, has_mask_word=True)),
        ("object", Meaning("", sure=False)),
        ("ts", Meaning("", sure=False)),
        ("cats", Meaning("", sure=False)),
        ("trainannot", Meaning("masks", "train")),
        ("station", Meaning("", sure=False)),
    ],
)
def test_the_meaning_of_a_folder(name: str, expected: Meaning) -> None:
    assert meaning(name) == expected


def test_the_forms_of_names() -> None:
    assert [*image_forms("a_rgb.png")] == ["a_rgb", "a_rgb.png", "a"]
    assert ("a", "_gtFine_instanceIds") in [*mask_forms("a_gtFine_instanceIds")]
    assert [*mask_forms("mask_a")] == [("a", "mask_")]
    assert [*mask_forms("cat")] == []
    assert (numbered("a_mask_10"), numbered("a10")) == ("a_mask", "")
    assert (list_split("Train.txt"), list_split("trainval.txt"), list_split("train.csv")) == ("train", "", "")


def _operations(root: Path, scenes: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls into the operating system, and Python calls, of the survey of that many folders of a scene."""
    for number in range(scenes):
        save(root / f"s{number}" / "images" / "rgb.png")
        save(root / f"s{number}" / "masks" / "rgb.png", MASK)
    survey(root)  # fills caches of names
    counts: Counter[str] = Counter()

    def counted(name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for name in ("scandir", "stat", "lstat", "open"):
            patched.setattr(os, name, counted(name, getattr(os, name)))
        patched.setattr(_folder_listing, "is_data", counted("names", _folder_listing.is_data))
        sys.setprofile(lambda frame, event, argument: counts.update(calls=1) if event == "call" else None)
        try:
            survey(root)
        finally:
            sys.setprofile(None)
    return counts


def test_the_cost_of_a_survey_is_linear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (_operations(tmp_path / str(count), count, monkeypatch) for count in (40, 80))
    assert small["scandir"] == 1 + 3 * 40 and large["scandir"] == 1 + 3 * 80  # each folder once
    assert large["stat"] + large["lstat"] <= small["stat"] + small["lstat"] + 5  # none for each file or folder
    assert large["calls"] < 2.2 * small["calls"]


def test_keys_keep_what_tells_pictures_apart(tmp_path: Path) -> None:
    for name in ("images/train/cats/7.jpg", "images/train/cats/10.jpg", "images/val/7.jpg", "images/val/7.png"):
        save(tmp_path / name)
    assert keys(tmp_path) == [("train", "cats/7"), ("train", "cats/10"), ("val", "7.jpg"), ("val", "7.png")]


def test_keys_of_folders_that_mean_the_same(tmp_path: Path) -> None:
    for name in ("photos/1.png", "pictures/1.png", "pictures/2.png"):
        save(tmp_path / name)
    assert keys(tmp_path) == [("", "photos/1"), ("", "pictures/1"), ("", "2")]


def test_keys_of_several_sources(tmp_path: Path) -> None:
    for name in ("x/images/1.png", "y/images/2.png"):
        save(tmp_path / name)
    roots = [tmp_path / "x" / "images", tmp_path / "y" / "images"]
    assert keys(*roots) == [("", "1"), ("", "2")]
    save(tmp_path / "y" / "images" / "1.png")
    assert keys(*roots) == [("", "x/1"), ("", "y/1"), ("", "y/2")]
    with pytest.raises(SourceError, match="is the same file as"):
        survey(tmp_path, tmp_path / "x")


def test_names_that_no_key_can_have(tmp_path: Path) -> None:
    save(tmp_path / "a\nb.png")
    save(tmp_path / "c.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    assert keys(tmp_path) == [("", "a%0Ab"), ("", "caf%E9")]


def test_a_mask_that_images_share_by_links_is_read_for_each(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / "images" / f"{name}.png")
    first = save(tmp_path / "masks" / "a.png", MASK)
    (tmp_path / "masks" / "b.png").symlink_to(first.name)
    found = survey(tmp_path)
    assert [record.masks[0].name for record in found.records] == ["a.png", "b.png"]
    assert set(found.auxiliary) == {record.masks[0] for record in found.records}


def test_splits_without_masks_may_be_beside_splits_with_masks(tmp_path: Path) -> None:
    for name in ("train/images/a.png", "test/images/b.png"):
        save(tmp_path / name)
    save(tmp_path / "train" / "masks" / "a.png", MASK)
    found = survey(tmp_path)
    assert [len(record.masks) for record in found.records] == [0, 1]
    assert "note: no image of test has a mask" in found.lines


@pytest.mark.parametrize(
    ("lists", "problem"),
    [
        ({"train": "1.png\nimages/2.png masks/2.png\n", "val": "\ufeff./3\r\n"}, ""),
        ({"train": "1\n9\n"}, r"train\.txt: names '9', .*; 1 of 2 names"),
        ({"train": "1\n", "val": "1\n"}, r"val\.txt: names .*1\.png, which is also in the list of another split"),
    ],
)
def test_lists_of_splits(tmp_path: Path, lists: dict[str, str], problem: str) -> None:
    for number in range(1, 5):
        save(tmp_path / "images" / f"{number}.png")
    for name, content in lists.items():
        (tmp_path / f"{name}.txt").write_text(content, "utf-8", newline="")
    if problem:
        with pytest.raises(SchemaError, match=rf"{problem}.*layout\.splits=none"):
            survey(tmp_path)
    else:
        assert keys(tmp_path) == [("train", "1"), ("train", "2"), ("val", "3")]
        assert "1 image in no list skipped" in survey(tmp_path).lines[0]
        assert tmp_path / "train.txt" in survey(tmp_path).files
    assert [split for split, _ in keys(tmp_path, splits="none")] == [""] * 4


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("trainA", "trainB"), {"trainA", "trainB"}),
        (("stage1_train", "stage1_test"), {"train", "test"}),
        (("val", "valid"), {"val"}),
        (("test_tubes", "beakers"), {""}),
    ],
)
def test_splits_of_folders(tmp_path: Path, names: tuple[str, ...], expected: set[str]) -> None:
    for name in names:
        save(tmp_path / name / "1.png")
    found = survey(tmp_path)
    assert {record.split for record in found.records} == expected
    notes = " ".join(found.lines[1:])
    assert ("val/ and valid/ are both the split val" in notes) == (expected == {"val"})
    assert ("test_tubes/ may mean a split" in notes) == (expected == {""})


def test_an_image_below_two_splits_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "train" / "val" / "1.png")
    with pytest.raises(SchemaError, match=r"below both train/ and val/.*layout\.splits=none"):
        survey(tmp_path)
    assert keys(tmp_path, splits="none") == [("", "train/val/1")]


def test_other_folders_of_an_image_are_asked_for(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    for name in ("rgb", "depth"):
        save(tmp_path / name / "1.png", photo)
    with pytest.raises(SchemaError, match=r"layout\.masks=depth; .*layout\.masks=none; .*layout\.images=rgb"):
        survey(tmp_path)
    assert keys(tmp_path, images="rgb") == [("", "1")]


def test_masks_in_one_more_folder(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png")
    first = save(tmp_path / "annotations" / "trimaps" / "a.png", MASK)
    assert survey(tmp_path).records[0].masks == (first,)
    save(tmp_path / "annotations" / "borders" / "a.png", MASK)
    with pytest.raises(SchemaError, match="has two masks"):
        survey(tmp_path)


def test_masks_in_a_folder_called_like_no_split_are_asked_for(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    save(tmp_path / "train" / "1.png", photo)
    save(tmp_path / "trainX" / "1.png", MASK)
    with pytest.raises(SchemaError, match=r"layout\.masks=trainX; .*layout\.masks=none"):
        survey(tmp_path, splits="none")


def test_sceneries_with_pictures_of_the_same_names_are_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("left", "right"):
        for number in range(3):
            save(tmp_path / name / f"{number}.png", rng.integers(0, 256, (40, 40, 3)).astype(np.uint8))
    assert len(keys(tmp_path)) == 6


def test_the_name_of_the_source_is_no_split_but_a_note(tmp_path: Path) -> None:
    save(tmp_path / "test" / "1.png")
    found = survey(tmp_path / "test")
    assert found.records[0].split == "" and "--split test=N" in found.lines[1]
