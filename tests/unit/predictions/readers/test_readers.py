"""Third-party predictions: files written by NumPy, h5py and Pillow are read, and bad files are refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError, SourceError
from iodine_kit.predictions.readers import READERS, reader_of

MASKS = np.arange(3 * 4 * 5).reshape(3, 4, 5) % 7
KEYS = np.array(["a", "b", "c"])
BACKWARDS = np.array([2, 0])


def write_npy(place: Path) -> Path:
    np.save(place / "file.npy", MASKS)
    return place / "file.npy"


def write_npz(place: Path) -> Path:
    np.savez_compressed(place / "file.bin", mask=MASKS, key=KEYS)  # recognised by its content, not its name
    return place / "file.bin.npz"


def write_hdf5(place: Path) -> Path:
    with h5py.File(place / "file.dat", "w") as file:
        file["mask"] = MASKS
        file["key"] = KEYS.tolist()
        file["inner/mask"] = MASKS + 1
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
    return place / "file.dat"


def write_pictures(place: Path) -> Path:
    folder = place / "masks"
    folder.mkdir()
    for key, mask in zip(KEYS, MASKS, strict=True):
        Image.fromarray(mask.astype(np.uint8)).save(folder / f"{key}.png")
    return folder


WRITERS = {"npy": write_npy, "npz": write_npz, "hdf5": write_hdf5, "pictures": write_pictures}


def test_there_is_a_test_for_every_reader() -> None:
    assert sorted(WRITERS) == READERS.names()


@pytest.mark.parametrize("name", WRITERS)
def test_rows_have_the_requested_order(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path)
    assert reader_of(path) == name
    plugin = READERS.load(name)
    columns = plugin.columns(path)
    assert columns["mask"].shape == MASKS.shape
    for rows in (BACKWARDS, np.array([1, 2]), np.array([2, 1, 0])):
        np.testing.assert_array_equal(columns["mask"].rows(rows), MASKS[rows])
    if name != "npy":
        keys = [k.decode() if isinstance(k, bytes) else k for k in columns["key"].rows(BACKWARDS).tolist()]
        assert keys == ["c", "a"]
    assert plugin.files(path) and all(file.is_file() for file in plugin.files(path))


def test_names_of_hdf5_data_sets_include_their_groups_and_links_are_not_followed(tmp_path: Path) -> None:
    columns = READERS.load("hdf5").columns(write_hdf5(tmp_path))
    assert sorted(columns) == ["inner/mask", "key", "mask"]


def test_pictures_are_ordered_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        Image.fromarray(np.full((2, 2), number, np.uint8)).save(tmp_path / f"scene{number}.png")
    columns = READERS.load("pictures").columns(tmp_path)
    assert columns["key"].rows(np.arange(3)).tolist() == ["scene1", "scene2", "scene10"]
    assert columns["mask"].rows(np.arange(3))[:, 0, 0].tolist() == [1, 2, 10]


def test_palette_and_16_bit_pictures_hold_indices(tmp_path: Path) -> None:
    palette = Image.fromarray(np.array([[0, 3]], np.uint8))
    palette.putpalette([0] * 768)
    palette.save(tmp_path / "0.png")
    Image.fromarray(np.array([[1, 300]], np.uint16)).save(tmp_path / "1.png")
    assert READERS.load("pictures").columns(tmp_path)["mask"].rows(np.arange(2)).tolist() == [[[0, 3]], [[1, 300]]]


def test_transparent_pixels_have_label_0_and_colours_are_numbered(tmp_path: Path) -> None:
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "0.png", transparency=2)
    Image.fromarray(np.array([[[9, 9, 9], [0, 0, 0], [200, 0, 0]]], np.uint8)).save(tmp_path / "1.png")
    reader = READERS.load("pictures")
    assert reader.columns(tmp_path)["mask"].rows(np.arange(2)).tolist() == [[[0, 1, 0]], [[1, 0, 2]]]
    assert reader.VERSION == 2, "version 1 gave 2 to the transparent pixel of the same file"


def _cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def _objects_npy(place: Path) -> Path:
    np.save(place / "o.npy", np.array([{}, 1], object))
    return place / "o.npy"


def _objects_npz(place: Path) -> Path:
    np.savez(place / "o.npz", mask=np.array([{}, 1], object))
    return place / "o.npz"


def _damaged_heap(place: Path) -> Path:
    """Free space of length 0 in a heap: the HDF5 library would loop for ever."""
    path = write_hdf5(place)
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL") + 16 + 3 * 24  # after the three keys of one letter
    assert content[start : start + 2] == bytes(2)
    content[start + 8 : start + 16] = bytes(8)
    path.write_bytes(content)
    return path


def _file(content: bytes, name: str = "file") -> object:
    def write(place: Path) -> Path:
        (place / name).write_bytes(content)
        return place / name

    return write


def _damaged_picture(place: Path) -> Path:
    folder = write_pictures(place)
    _cut(folder / "b.png", 0.7)
    return folder


def _two_sizes(place: Path) -> Path:
    folder = write_pictures(place)
    Image.new("L", (6, 4)).save(folder / "c.png")
    return folder


def _leaving(place: Path) -> Path:
    folder = write_pictures(place)
    (folder / "a.png").rename(place / "outside.png")
    (folder / "a.png").symlink_to(place / "outside.png")
    return folder


def _empty_folder(place: Path) -> Path:
    (place / "empty").mkdir()
    return place / "empty"


def _external_data(place: Path) -> Path:
    (place / "raw").write_bytes(bytes(60))
    with h5py.File(place / "file.h5", "w") as file:
        file.create_dataset("mask", (3, 4, 5), np.uint8, external=[(str(place / "raw"), 0, 60)])
    return place / "file.h5"


FAULTS = {
    "no file": (lambda place: place / "none", SourceError, "no such file"),
    "empty file": (_file(b""), CorruptDataError, "is empty"),
    "pickle": (_file(b"\x80\x04K\x01."), SchemaError, "pickle"),
    "something else": (_file(b"hello there"), SchemaError, "no reader recognises"),
    "truncated npy": (lambda place: _cut(write_npy(place), 0.8), CorruptDataError, "truncated"),
    "header of npy alone": (_file(b"\x93NUMPY\x01\x00"), CorruptDataError, "truncated"),
    "objects in npy": (_objects_npy, SchemaError, "never opened"),
    "objects in npz": (_objects_npz, SchemaError, "never opened"),
    "truncated npz": (lambda place: _cut(write_npz(place), 0.6), CorruptDataError, "truncated"),
    "zip without arrays": (_file(b"PK\x05\x06" + bytes(18)), SchemaError, "numpy.savez"),
    "truncated HDF5": (lambda place: _cut(write_hdf5(place), 0.5), CorruptDataError, "truncated"),
    "HDF5 with damaged texts": (_damaged_heap, CorruptDataError, "global heap"),
    "HDF5 with data elsewhere": (_external_data, SchemaError, "other files"),
    "folder without pictures": (_empty_folder, SourceError, "no .png files"),
    "damaged picture": (_damaged_picture, CorruptDataError, "b.png"),
    "pictures of two sizes": (_two_sizes, SchemaError, "same size"),
    "picture that is a link": (_leaving, SourceError, "outside of"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_unreadable_files_are_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    write, kind, words = FAULTS[name]
    path = write(tmp_path)
    with pytest.raises(IodineKitError, match=words) as caught:
        columns = READERS.load(reader_of(path)).columns(path)
        for column in columns.values():
            column.rows(np.arange(column.shape[0]))
    assert type(caught.value) is kind and "\n" not in str(caught.value)


def test_an_altered_member_of_an_archive_is_detected(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", mask=MASKS)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(CorruptDataError, match="altered"):
        READERS.load("npz").columns(tmp_path / "a.npz")["mask"]
