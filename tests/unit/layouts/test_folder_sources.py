"""Several folders as sources, masks outside of them, and what a survey of a folder says and refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from unit.layouts.surveyed import MASK, save, survey

from iodine_kit.errors import SchemaError, SourceError, StorageError
from iodine_kit.layouts._folder_survey import FolderSurvey


def masks(found: FolderSurvey) -> dict[Path, tuple[Path, ...]]:
    """The masks of each image, without links and ``..``."""
    return {one.image: tuple(mask.resolve() for mask in one.masks) for one in found.records}


@pytest.mark.parametrize("chosen", ["", "labels", "../labels"])
@pytest.mark.parametrize("parts", [("a", "b"), ("a", "b/c")])
def test_masks_beside_each_of_two_sources(tmp_path: Path, parts: tuple[str, str], chosen: str) -> None:
    expected = {}
    for name in parts:
        image = save(tmp_path / name / "images" / "1.png")
        expected[image] = (save(tmp_path / name / "labels" / "1.png", MASK),)
    assert masks(survey(*(tmp_path / name / "images" for name in parts), masks=chosen)) == expected


def test_a_mask_is_never_that_of_an_image_of_another_source(tmp_path: Path) -> None:
    for name in ("a/images/1.png", "b/images/2.png", "b/images/3.png"):
        save(tmp_path / name)
    for name in ("a/labels/1.png", "a/labels/2.png", "b/labels/3.png"):
        save(tmp_path / name, MASK)
    for chosen in ("", "../labels"):
        with pytest.raises(SourceError, match=r"b/images/2\.png: has no mask"):
            survey(tmp_path / "a" / "images", tmp_path / "b" / "images", masks=chosen)


def test_a_folder_of_masks_inside_each_of_two_sources(tmp_path: Path) -> None:
    expected = {}
    for name in "ab":
        image = save(tmp_path / name / "1.png")
        expected[image] = (save(tmp_path / name / "truth" / "deep" / "1.png", MASK),)
    assert masks(survey(tmp_path / "a", tmp_path / "b", masks="truth/deep")) == expected


def test_one_folder_of_masks_for_two_sources(tmp_path: Path) -> None:
    images = [save(tmp_path / f"set{number}" / f"{number}.png") for number in (1, 2)]
    found = [save(tmp_path / "truth" / f"{number}.png", MASK) for number in (1, 2)]
    expected = {image: (mask,) for image, mask in zip(images, found, strict=True)}
    for chosen in ("../truth", str(tmp_path / "truth")):
        assert masks(survey(tmp_path / "set1", tmp_path / "set2", masks=chosen)) == expected


def test_a_source_without_the_folder_of_masks_that_was_named(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / name / "images" / "1.png")
    save(tmp_path / "a" / "labels" / "1.png", MASK)
    with pytest.raises(SourceError, match=r"b/images/\.\./labels: no such folder; check the path"):
        survey(tmp_path / "a" / "images", tmp_path / "b" / "images", masks="../labels")


def _refused(name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system refuses to list folders of this name."""
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == name:
            raise OSError(number, os.strerror(number), str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("problem", ["unreadable", "link"])
def test_masks_beside_the_source_that_nobody_named_are_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    image = save(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    if problem == "link":
        (tmp_path / "masks" / "a.png").symlink_to(save(tmp_path / "elsewhere" / "a.png", MASK))
    else:
        _refused("masks", errno.EACCES, monkeypatch)
    found = survey(tmp_path / "images")
    assert masks(found) == {image: ()}
    assert any(line.startswith("note: masks beside the source are not used") for line in found.lines)
    with pytest.raises((SourceError, StorageError), match="masks"):
        survey(tmp_path / "images", masks="masks")
    mask = save(tmp_path / "labels" / "a.png", MASK)
    assert masks(survey(tmp_path / "images")) == {image: (mask,)}


@pytest.mark.parametrize(("number", "remedy"), [(errno.EMFILE, "ulimit -n"), (errno.ENOTDIR, "check the path")])
def test_the_remedy_is_that_of_the_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    save(tmp_path / "below" / "a.png")
    _refused("below", number, monkeypatch)
    with pytest.raises(StorageError, match=remedy):
        survey(tmp_path)


def test_each_link_and_each_file_counts_once(tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "images" / "notes.txt").write_text("words")
    (tmp_path / "images" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "again").symlink_to("images")
    found = survey(tmp_path)
    count = "1 link followed; 3 pictures listed again by links skipped; 1 link to nothing or to a listed folder skipped"
    assert found.lines[0].endswith(f"; 1 file skipped (1 .txt); {count}")
    facts = {key: found.facts[key] for key in ("images", "links", "omitted_links", "repeated_pictures")}
    assert facts == {"images": 3, "links": 1, "omitted_links": 1, "repeated_pictures": 3}


def test_links_that_lead_to_each_other_end(tmp_path: Path) -> None:
    names = "abcdefgh"
    for name in names:
        save(tmp_path / name / "1.png")
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    assert sorted(record.image.resolve() for record in survey(tmp_path).records) == [
        tmp_path.resolve() / name / "1.png" for name in names
    ]


def test_masks_of_another_folder_are_not_beside_the_images(tmp_path: Path) -> None:
    save(tmp_path / "leftImg8bit" / "train" / "ulm_1_leftImg8bit.png")
    save(tmp_path / "gtFine" / "train" / "ulm_1_gtFine_instanceIds.png", MASK)
    line = survey(tmp_path, masks="_gtFine_instanceIds").lines[0]
    assert "1 mask in gtFine/train/ (_gtFine_instanceIds)" in line and "beside" not in line


def test_masks_of_three_kinds(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png")
    for name in ("labels", "masks", "gt"):
        save(tmp_path / name / "a.png", MASK)
    option = "--set layout.masks="
    asked = f"several kinds, gt, labels and masks: choose one with {option}gt, {option}labels or {option}masks, or"
    with pytest.raises(SchemaError, match=asked):
        survey(tmp_path)


def test_the_cost_of_an_error_is_linear(tmp_path: Path) -> None:
    compared = []

    class Name(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            compared.append(other)
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    from iodine_kit.layouts._folder_listing import Picture
    from iodine_kit.layouts._folder_roles import _first

    folders = [(Name(f"s{number}"),) for number in range(100)]
    pictures = [Picture(tmp_path, (Name(f"s{number}"),), "a.png", f"s{number}/a.png", "") for number in range(100)]
    assert _first(pictures, folders) == "s0/a.png"
    assert len(compared) <= 1000
