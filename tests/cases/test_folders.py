"""Folders of pictures: what is found is said before any work, and where names allow two readings, one sentence asks."""

from __future__ import annotations

import json
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


# Names of folders and files


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("Images/{}.JPG", "MASKS/{}.PNG"),
        ("images/train/{}.png", "labels/train/{}.png"),
        ("train/rgb/{}.png", "train/segmentation/{}.png"),
        ("train/{}.jpg", "train_masks/{}_mask.png"),
        ("imagesTr/{}.png", "labelsTr/{}.png"),
        ("pictures/{}.jpg", "ground_truth/{}.png"),
        ("{}_rgb.png", "{}_labelIds.png"),
        ("{}.jpg", "{}.mask.png"),
        ("image_{}.png", "mask_{}.png"),
        ("s{}/image.png", "s{}/mask.png"),
        ("train/{}.png", "trainannot/{}.png"),
        ("images/cat_{}.jpg", "annotations/trimaps/cat_{}.png"),
        ("JPEGImages/480p/bear/{}.jpg", "Annotations/480p/bear/{}.png"),
    ],
)
def test_an_image_and_its_mask(iodine_kit: Command, tmp_path: Path, image: str, mask: str) -> None:
    pairs(tmp_path, f"in/{image}", f"in/{mask}", 3)
    assert contents(iodine_kit, tmp_path, "in") == {"train": (3, 3)}


def test_a_mask_of_several_files_numbers_objects_in_natural_order(iodine_kit: Command, tmp_path: Path) -> None:
    shape = (40, 40)
    for scene_name in ("a", "b"):
        put(tmp_path / f"in/{scene_name}/images/{scene_name}.png", np.full((*shape, 3), 90, np.uint8))
        for number in range(1, 12):
            mask = np.zeros(shape, np.uint8)
            mask[number : number + 2, 5:20] = 255
            put(tmp_path / f"in/{scene_name}/masks/{number}.png", mask)
    dataset, said = prepare(iodine_kit, "in")
    with h5py.File(tmp_path / dataset / "train.h5") as shard:
        column = shard["mask"][0][:13, 5].tolist()
    assert column == [0, *range(1, 12), 11]  # the later object is in front
    assert "2 records: masks of objects overlap" in said and "22 mask files" in said


def test_pascal_voc(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/JPEGImages/{}.jpg", "in/SegmentationObject/{}.png")
    for number in range(4):
        put(tmp_path / f"in/SegmentationClass/{number}.png", scene(number)[1] // 2)
        put(tmp_path / f"in/JPEGImages/bare{number}.jpg", scene(number)[0])
    lists = tmp_path / "in/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for name, content in {"train": "0\n1\n2\n", "val": "3\n", "trainval": "0\n1\n2\n3\n"}.items():
        (lists / f"{name}.txt").write_text(content)
    assert contents(iodine_kit, tmp_path, "in") == {"train": (3, 3), "val": (1, 1)}
    _, said = prepare(iodine_kit, "in")
    assert "4 masks in SegmentationObject/" in said and "SegmentationClass/ is not used" in said


# Two readings: one sentence that names the options, each of which works


ASKED = {
    "two folders": (("foo/{}.jpg", "bar/{}.png"), {"layout.masks=bar": (4, 4), "layout.masks=none": (8, 0)}),
    "ends of names": (("{}.jpg", "{}_bar.png"), {"layout.masks=_bar": (4, 4), "layout.masks=none": (8, 0)}),
    "suffixes": (("{}.jpg", "{}.png"), {"layout.masks=.png": (4, 4), "layout.masks=none": (8, 0)}),
    "a word and masks": (("cells/{}.jpg", "CellMasks/{}.png"), {"layout.masks=CellMasks": (4, 4)}),
    "two kinds of masks": (
        ("images/{}.jpg", "masks/{}.png", "labels/{}.png"),
        {"layout.masks=masks": (4, 4), "layout.masks=labels": (4, 4), "layout.masks=none": (4, 0)},
    ),
}


@pytest.mark.parametrize("case", ASKED)
def test_two_readings_are_asked(iodine_kit: Command, tmp_path: Path, case: str) -> None:
    names, options = ASKED[case]
    for number in range(4):
        for name, pixels in zip(names, (scene(number)[0], *[scene(number)[1]] * 2), strict=False):
            put(tmp_path / "in" / name.format(number), pixels)
    _, said = prepare(iodine_kit, "in", status=7)
    for option, expected in options.items():
        assert f"--set {option}" in said
        assert contents(iodine_kit, tmp_path, "in", "--set", option) == {"train": expected}


@pytest.mark.parametrize(
    ("extra", "first", "options"),
    [
        ("images/x.png", "x.png: has no mask; 1 of 5", {"unpaired=skip": (4, 4), "masks=none": (5, 0)}),
        ("masks/x.png", "x.png: is the mask of no image; 1 of 5", {"unpaired=skip": (4, 4), "masks=none": (4, 0)}),
    ],
)
def test_what_lacks_its_counterpart(
    iodine_kit: Command, tmp_path: Path, extra: str, first: str, options: dict[str, tuple[int, int]]
) -> None:
    pairs(tmp_path, "in/images/{}.png", "in/masks/{}.png")
    put(tmp_path / "in" / extra, scene()[extra.startswith("m")])
    _, said = prepare(iodine_kit, "in", status=5)
    assert first in said
    for option, expected in options.items():
        assert f"--set layout.{option}" in said
        assert contents(iodine_kit, tmp_path, "in", "--set", f"layout.{option}") == {"train": expected}
    (tmp_path / "in" / extra).unlink()  # the third remedy: mend the folder
    assert contents(iodine_kit, tmp_path, "in") == {"train": (4, 4)}


def test_images_outside_of_the_splits(iodine_kit: Command, tmp_path: Path) -> None:
    for name in ("bus/0", "bus/1", "train/0", "train/1"):
        put(tmp_path / f"in/{name}.png", scene()[0])
    _, said = prepare(iodine_kit, "in", status=7)
    assert "--set layout.splits=none" in said
    dataset, _ = prepare(iodine_kit, "in", "--set", "layout.splits=none")
    assert keys(tmp_path, dataset) == ["bus/0", "bus/1", "train/0", "train/1"]


def test_masks_of_another_size_can_be_ignored(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/images/{}.png", "in/masks/{}.png")
    put(tmp_path / "in/masks/2.png", scene(2, size=30)[1])
    _, said = prepare(iodine_kit, "in", status=7)
    assert "masks/2.png: has 30×30 pixels" in said and "--set layout.masks=none" in said
    assert contents(iodine_kit, tmp_path, "in", "--set", "layout.masks=none") == {"train": (4, 0)}


def test_a_folder_of_masks_alone(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"in/masks/{number}.png", scene(number)[0])
    _, said = prepare(iodine_kit, "in", status=5)
    assert "has no images" in said and "--source in/masks" in said
    assert contents(iodine_kit, tmp_path, "in/masks") == {"train": (3, 0)}


def test_masks_in_a_format_that_is_no_picture(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/images/{}.png", "in/masks/{}.gif")
    _, said = prepare(iodine_kit, "in", status=5)
    assert "has 4 .gif files, which cannot be read as masks" in said and "--set layout.masks=none" in said
    assert contents(iodine_kit, tmp_path, "in", "--set", "layout.masks=none") == {"train": (4, 0)}


@pytest.mark.parametrize("masks", ["_mask", "_Label", "-x", ".tif"])
def test_an_end_of_names_that_no_picture_has(iodine_kit: Command, tmp_path: Path, masks: str) -> None:
    pairs(tmp_path, "in/images/{}.png", "in/masks/{}.png")
    _, said = prepare(iodine_kit, "in", "--set", f"layout.masks={masks}", status=5)
    assert f"begins or ends with {masks}" in said and "omit it" in said and "--set layout.masks=none" in said
    assert contents(iodine_kit, tmp_path, "in") == {"train": (4, 4)}
    assert contents(iodine_kit, tmp_path, "in", "--set", "layout.masks=none") == {"train": (4, 0)}


@pytest.mark.parametrize(
    ("mask", "option"),
    [
        ("{}_Bar", "_bar"),
        ("{}_bar", "_bar.png"),
        ("{}bar", "bar"),
        ("BAR-{}", "bar-"),
        ("{}(bar)", "(bar)"),
        ("{}", ".PNG"),
    ],
)
def test_an_end_of_names_in_other_spellings(iodine_kit: Command, tmp_path: Path, mask: str, option: str) -> None:
    pairs(tmp_path, "in/s{}.jpg", f"in/{mask.format('s{}')}.png")
    assert contents(iodine_kit, tmp_path, "in", "--set", f"layout.masks={option}") == {"train": (4, 4)}


NAMED = {
    "a class after the word": ("s{}.png", "s{}_mask_cat.png", "_mask"),
    "a class before the word": ("s{}.png", "s{}_cat_mask.png", "_mask"),
    "no separator": ("s{}.png", "s{}mask.png", "mask"),
    "brackets": ("s{}.png", "s{}(mask).png", "(mask)"),
    "other folders": ("ISIC_Data/I_{}.jpg", "ISIC_Part1_GroundTruth/I_{}_segmentation.png", "_segmentation"),
    "a hint": ("Stills/{}.png", "LabeledApproved_full/{}_L.png", "LabeledApproved_full"),
    "one instance": ("rgb/{}_rgb.png", "instance/{}_inst.png", "instance"),
    "a point": ("color/frame-{}.color.png", "semantic/frame-{}.instance.png", "semantic"),
    "two words": ("x/{}.png", "my cell masks/{}_bw.png", "my cell masks"),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_word_for_masks_is_never_silently_an_image(iodine_kit: Command, tmp_path: Path, case: str) -> None:
    image, mask, option = NAMED[case]
    pairs(tmp_path, f"in/{image}", f"in/{mask}")
    _, said = prepare(iodine_kit, "in", status=7)
    assert f"layout.masks={option}" in said and "--set layout.masks=none" in said
    assert contents(iodine_kit, tmp_path, "in", "--set", f"layout.masks={option}") == {"train": (4, 4)}
    assert contents(iodine_kit, tmp_path, "in", "--set", "layout.masks=none")["train"][1] == 0


def test_only_masks_are_asked_for(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / f"in/{number}_mask.png", scene(number)[1])
    _, said = prepare(iodine_kit, "in", status=7)
    assert "4 pictures with the word mask" in said and "a.jpg, a_mask.png" in said
    assert contents(iodine_kit, tmp_path, "in", "--set", "layout.masks=none") == {"train": (4, 0)}
    for number in range(4):
        put(tmp_path / f"in/{number}.jpg", scene(number)[0])
    assert contents(iodine_kit, tmp_path, "in") == {"train": (4, 4)}


def test_masks_of_some_images(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/{}.png", "in/{}_lbl.png")
    for number in range(4, 9):
        put(tmp_path / f"in/{number}.png", scene(number)[0])
    _, said = prepare(iodine_kit, "in", status=7)
    option = "layout.masks=_lbl --set layout.unpaired=skip"
    assert f"--set {option}" in said
    assert contents(iodine_kit, tmp_path, "in", "--set", *option.split()) == {"train": (4, 4)}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}.png", "masks/{}_obj1.png"),
        ("images/{}.png", "masks/{}_cell1.png"),
        ("imagesTr/p{}_0000.png", "labelsTr/p{}.png"),
        ("images/image{}.png", "masks/mask{}.png"),
        ("images/img_{}.png", "masks/{}.png"),
        ("Bilder/{}.png", "Masken/{}_Maske.png"),
    ],
)
def test_masks_with_a_longer_or_a_shorter_name(iodine_kit: Command, tmp_path: Path, image: str, mask: str) -> None:
    pairs(tmp_path, f"in/{image}", f"in/{mask}")
    assert contents(iodine_kit, tmp_path, "in") == {"train": (4, 4)}


def test_masks_that_fit_no_image_are_named(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/images/a{}.png", "in/masks/b{}.png")
    _, said = prepare(iodine_kit, "in", status=5)
    assert "the names of all 4 masks fit no image, such as masks/b0.png" in said
    assert contents(iodine_kit, tmp_path, "in", "--set", "layout.masks=none") == {"train": (4, 0)}


def test_photographs_of_masks_are_images_with_a_note(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(6):
        photo = np.random.default_rng(number).integers(0, 256, (40, 40, 3)).astype(np.uint8)
        put(tmp_path / f"in/{'with_mask' if number % 2 else 'without_mask'}/{number}.png", photo)
    _, said = prepare(iodine_kit, "in")
    assert "6 images" in said and "note: 6 pictures with the word mask" in said


# Links


def test_links_to_a_common_folder_give_the_splits(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / f"in/all/{number}.png", scene(number)[0])
        link = tmp_path / f"in/{'train' if number else 'test'}/{number}.png"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(Path("../all") / link.name)
    assert contents(iodine_kit, tmp_path, "in") == {"train": (3, 0), "test": (1, 0)}
    _, said = prepare(iodine_kit, "in")
    assert "4 links followed" in said


def test_links_that_lead_back_or_nowhere(iodine_kit: Command, tmp_path: Path) -> None:
    put(tmp_path / "in/a.png", scene()[0])
    for name, target in {"again": ".", "self.png": "self.png", "gone.png": "nowhere.png"}.items():
        (tmp_path / "in" / name).symlink_to(target)
    assert contents(iodine_kit, tmp_path, "in") == {"train": (1, 0)}


def test_links_to_other_places_are_followed_on_request(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/images/{}.png", "elsewhere/{}.png")
    (tmp_path / "in/masks").symlink_to(tmp_path / "elsewhere")
    _, said = prepare(iodine_kit, "in", status=5)
    assert "in/masks: is a link to a folder outside of in" in said and "--set layout.links=all" in said
    assert contents(iodine_kit, tmp_path, "in", "--set", "layout.links=all") == {"train": (4, 4)}


# Several sources, and inspect


def test_folders_that_a_pattern_names(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/images/{}.png", "in/masks/{}.png")
    assert contents(iodine_kit, tmp_path, "in/*") == {"train": (4, 4)}


def test_inspect_says_what_prepare_says(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/train/images/{}.png", "in/train/masks/{}.png")
    pairs(tmp_path, "in/valid/images/{}.png", "in/valid/masks/{}.png", 2)
    put(tmp_path / "in/valid/notes.gif", scene()[0])
    shown = iodine_kit("inspect", "in").stdout.splitlines()
    sentence = (
        "6 images in train/images/ and valid/images/, 6 masks in train/masks/ and valid/masks/ (index, 8-bit), "
        "splits train 4, val 2; 1 file skipped (1 .gif)"
    )
    assert sentence in shown and shown[-1] == "prepare it with: iodine-kit prepare folder --source in"
    assert sentence in prepare(iodine_kit, "in")[1]
    facts = json.loads(iodine_kit("inspect", "in", "--json").stdout)
    assert facts["splits"] == {"train": 4, "val": 2} and facts["skipped"] == {".gif": 1} and facts["masks"] == 6
    assert [path.name for path in tmp_path.iterdir() if path.name != "in"] == ["data"]  # which prepare made


def test_inspect_a_published_file(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    facts = json.loads(iodine_kit("inspect", mini, "--json").stdout)
    assert (facts["layout"], facts["dataset"]) == ("multi-object-datasets", "tetrominoes")
    assert facts["bytes"] == mini.stat().st_size
    assert not list(tmp_path.iterdir())


def test_inspect_what_nothing_recognises(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / f"in/{number}.docx").write_text("words")
    said = iodine_kit("inspect", "in", status=5).stderr
    assert said == iodine_kit("prepare", "folder", "--source", "in", status=5).stderr.splitlines(keepends=True)[-1]
    assert "in: this folder has no images" in said and "3 files skipped (3 .docx)" in said
    (tmp_path / "a.docx").write_text("words")
    said = iodine_kit("inspect", "a.docx", status=5).stderr
    assert "a.docx: no layout recognises it" in said and "folder: a folder of your own images" in said


def test_inspect_refuses_and_follows_links_as_prepare_does(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(3):
        image, mask = scene(number)
        put(tmp_path / f"elsewhere/{number}.png", image)
        put(tmp_path / f"truth/{number}.png", mask)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/images").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/masks").symlink_to(tmp_path / "truth")
    said = iodine_kit("inspect", "in", status=5).stderr
    assert said == iodine_kit("prepare", "folder", "--source", "in", status=5).stderr.splitlines(keepends=True)[-1]
    remedy = ["--set", "layout.links=all"]
    assert remedy[1] in said
    lines = iodine_kit("inspect", "in", *remedy).stdout.splitlines()
    prepared = iodine_kit("prepare", "folder", "--source", "in", *remedy).stderr.splitlines()
    assert lines[2] == prepared[1] == "3 images in images/, 3 masks in masks/ (index, 8-bit); 2 links followed"


def test_a_list_that_names_no_image_is_no_list_of_none(iodine_kit: Command, tmp_path: Path) -> None:
    pairs(tmp_path, "in/images/{}.png", "in/masks/{}.png", 4)
    (tmp_path / "in/train.txt").write_text("bear\nbmx\n")
    (tmp_path / "in/val.txt").write_text("camel\n")
    said = iodine_kit("prepare", "folder", "--source", "in", status=7).stderr
    assert "train.txt: names 'bear', and none of its 2 names is an image" in said
    assert "layout.splits=none" in said
    iodine_kit("prepare", "folder", "--source", "in", "--set", "layout.splits=none")


def test_a_list_for_training_and_validation_is_for_training_if_there_is_no_other(
    iodine_kit: Command, tmp_path: Path
) -> None:
    pairs(tmp_path, "in/images/{}.png", "in/masks/{}.png", 5)
    (tmp_path / "in/trainval.txt").write_text("0\n1\n2\n")
    (tmp_path / "in/test.txt").write_text("3\n4\n")
    assert "splits train 3, test 2" in iodine_kit("inspect", "in").stdout
    (tmp_path / "in/train.txt").write_text("0\n1\n")
    (tmp_path / "in/val.txt").write_text("2\n")
    assert "splits train 2, val 1, test 2" in iodine_kit("inspect", "in").stdout
