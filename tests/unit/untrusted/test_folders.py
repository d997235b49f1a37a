"""Listing folders: natural order, one form of names, and no leftovers of other programs."""

from __future__ import annotations

import os
import random
import unicodedata
from pathlib import Path, PurePosixPath

import pytest

from iodine_kit.errors import SourceError, StorageError
from iodine_kit.untrusted import folders

_NAMES = """
._a.png .DS_Store .hidden/a.png __MACOSX/a.png __MACOSX/._a.png Thumbs.db desktop.ini @eaDir/a.png
.ipynb_checkpoints/a-checkpoint.png lost+found/a.png a.png.part a.png.crdownload a.png.tmp a.png~ .a.png.swp
a.tfrecords_.gstmp _.gstmp a.idx a.tfrecords.md5 a.sha256 a.crc PaxHeader/a.png PaxHeaders.1234/a.png
././@LongLink a.png:Zone.Identifier $RECYCLE.BIN/a.png a.swo ./._a.png b/._a.png
"""
LEFTOVERS = _NAMES.split()
DATA = "a.png ./a.png b/a.png a.b.png tmp/a.png part/a.png a.part.png _a.png #a.png a~b.png paxman/a.png ../a.png"


@pytest.mark.parametrize("name", [*LEFTOVERS, "System Volume Information/a.png", "Icon\r"])
def test_what_other_programs_leave_is_no_data(name: str) -> None:
    assert not folders.is_data(name)
    assert not folders.is_data(PurePosixPath("x", name))


@pytest.mark.parametrize("name", [*DATA.split(), "café.png", "預測.png", "a b.png", "-a.png"])
def test_other_names_are_data(name: str) -> None:
    assert folders.is_data(name)


def test_numbers_are_in_the_order_of_their_values() -> None:
    text = "1 02 2 10 a/2 a/10 A1 a1 a2 a10 a10b2 a10b10 b v1.9 v1.10"
    wanted = text.split()
    shuffled = random.Random(0).sample(wanted, len(wanted))
    assert sorted(shuffled, key=folders.natural_order) == wanted
    assert sorted(map(PurePosixPath, shuffled), key=folders.natural_order)[0] == PurePosixPath("1")


def test_order_is_by_parts_and_stems_and_of_any_digits() -> None:
    assert sorted(["a 2.png", "a.png", "a-1.png"], key=folders.natural_order) == ["a.png", "a 2.png", "a-1.png"]
    assert sorted(["a-b/1", "a/2"], key=folders.natural_order) == ["a/2", "a-b/1"]
    assert sorted(["٣", "٢", "10", "1"], key=folders.natural_order) == ["1", "٢", "٣", "10"]
    assert sorted(["9" * 9000, "1" + "0" * 9000], key=folders.natural_order)[0].startswith("9")


def test_keys_are_paths_without_suffix_and_all_different() -> None:
    accent = unicodedata.normalize("NFD", "café.png")
    names = ["cats/frame_1.5.png", "a.png", "a.jpg", accent, "x\ny.png", os.fsdecode(b"\xff.png")]
    keys = folders.scene_keys([PurePosixPath(name) for name in names])
    assert keys == ["cats/frame_1.5", "a.png", "a.jpg", "café", "x%0Ay", "%FF"]
    twins = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    assert folders.scene_keys([PurePosixPath(name) for name in [*twins, "é~2.png"]]) == ["é.png", "é.png~2", "é~2"]


def test_walking_meets_each_file_once_in_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "b/1.png", "a/1.png", "a/10.png", "a/9.png", "a/note.txt", *LEFTOVERS[:-2]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "b" / "self.png").symlink_to(tmp_path / "b" / "self.png")
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    found = [path.relative_to(tmp_path).as_posix() for path in folders.walk(tmp_path, lambda name: ".png" in name)]
    own = ["2.png", "10.png", "a/1.png", "a/9.png", "a/10.png", "b/1.png", "b/gone.png", "b/self.png"]
    assert found == own


def test_dangling_links_and_unreadable_folders_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.npy").symlink_to(tmp_path / "annex")
    with pytest.raises(SourceError, match=r"a\.npy: is a link to a file that does not exist"):
        folders.files_below([tmp_path], "*.npy")
    with pytest.raises(StorageError, match="cannot be listed"):
        list(folders.walk(tmp_path / "gone", lambda _: True))


def test_patterns_match_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "A.TFRECORDS").touch()
    assert folders.files_below([tmp_path], "*.tfrecord*") == [tmp_path / "A.TFRECORDS"]


def test_a_path_is_found_in_another_unicode_form(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café/naïve.npz") for form in ("NFC", "NFD"))
    (tmp_path / apart).parent.mkdir()
    (tmp_path / apart).touch()
    assert folders.as_spelled(tmp_path / composed) == tmp_path / apart
    assert folders.as_spelled(tmp_path / "cafe" / "ü") == tmp_path / "cafe" / "ü"
    (tmp_path / composed).parent.mkdir()
    assert folders.as_spelled(tmp_path / composed) == tmp_path / composed


def test_a_link_to_nothing_is_recognised_if_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.npy").symlink_to(tmp_path / "annex")
    assert folders.any_below(tmp_path, "*.npy", lambda _: False)
    assert not folders.any_below(tmp_path, "*.tar")
