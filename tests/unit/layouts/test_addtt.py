"""Flat HDF5 files of object-centric-library and of multi_object_datasets_torch."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.layouts import Expected, addtt, efficient_morl
from iodine_kit.records import DatasetInfo, Scene

N, K, H, W = 4, 3, 6, 8
EXPECTED = Expected("tetrominoes", DatasetInfo("tetrominoes", H, W, K), {}, {})
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (N, H, W, 3), np.uint8)
MASK = RNG.integers(0, K, (N, H, W, 1)).astype(np.int32)
PUBLISHED: dict[str, Any] = {
    "image": IMAGE,
    "mask": MASK,
    "visibility": np.ones((N, K, 1), np.int64),
    "num_actual_objects": np.full((N, 1), K - 1),
    "color": RNG.random((N, K, 3), np.float32),
    "x": RNG.random((N, K, 1), np.float32),
}


def write(path: Path, arrays: dict[str, Any], **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, **options)
    return path


def read(path: Path, expected: Expected = EXPECTED) -> list[Scene]:
    items = list(addtt.items([path], expected, addtt.Config()))
    assert all(pickle.loads(pickle.dumps(item)) == item and item.split == "" for item in items)
    return [scene for item in items for scene in addtt.scenes(item, "key", expected, addtt.Config())]


def test_the_published_layout(tmp_path: Path) -> None:
    path = write(tmp_path / "tetrominoes-full.hdf5", PUBLISHED, compression="gzip", chunks=True)
    scenes = read(tmp_path)
    assert len(scenes) == N and addtt.files([tmp_path], addtt.Config()) == [path]
    for row, scene in enumerate(scenes):
        assert (scene.image == IMAGE[row]).all() and (scene.mask == MASK[row, ..., 0]).all()
        assert scene.factors.keys() == {"visibility", "color", "x"}
        assert (scene.factors["color"] == PUBLISHED["color"][row]).all()
        assert (scene.factors["x"] == PUBLISHED["x"][row, :, 0]).all()
        assert scene.factors["visibility"].dtype == np.float32 and scene.factors["visibility"].shape == (K,)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_first_and_one_mask_per_entity(tmp_path: Path, channels: int) -> None:
    one_hot = 255 * (MASK[:, None, None, :, :, 0] == np.arange(K)[:, None, None, None]).astype(np.uint8)
    image = np.moveaxis(IMAGE[..., :channels], -1, 1)
    scenes = read(write(tmp_path / "a.hdf5", {"image": image, "mask": one_hot}))
    assert all((scene.image == IMAGE[row, ..., :channels]).all() for row, scene in enumerate(scenes))
    assert all((scene.mask == MASK[row, ..., 0]).all() and not scene.factors for row, scene in enumerate(scenes))


def test_missing_rows_of_the_background_are_inserted_first(tmp_path: Path) -> None:
    factors = {name: PUBLISHED[name][:, 1:] for name in ("visibility", "color", "x")}
    for scene in read(write(tmp_path / "a.hdf5", PUBLISHED | factors)):
        assert {name: len(values) for name, values in scene.factors.items()} == {"visibility": K, "color": K, "x": K}
        assert scene.factors["visibility"].tolist() == [1] * K and not scene.factors["color"][0].any()
    kept = read(
        write(tmp_path / "b.hdf5", PUBLISHED | factors | {"mask": 0 * MASK, "num_actual_objects": MASK[..., 0, 0]})
    )
    assert len(kept[0].factors["visibility"]) == K - 1


def test_clevr_was_resized_before_it_was_published(tmp_path: Path) -> None:
    assert addtt.PREPROCESS["clevr"] == {"crop": "none", "size": None}
    expected = Expected("clevr", DatasetInfo("clevr", 240, 320, 11), {}, {})
    arrays = {"image": np.zeros((2, 128, 128, 3), np.uint8), "mask": np.zeros((2, 128, 128, 1), np.uint8)}
    assert len(read(write(tmp_path / "a.hdf5", arrays), expected)) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mask": MASK + 1}, "row 0: mask has indices 1 to 3; there are at most 3 entities"),
        ({"mask": MASK[:3]}, "different numbers of rows"),
        ({"mask": MASK[:, :, :5]}, r"masks \[6, 5, 1\] of an image of 6×8 can be read in no way"),
        ({"mask": np.full((N, 1), "a pickle", object)}, "no data set of numbers with the name 'mask'"),
        ({"image": IMAGE[:, :5]}, "images are 5×8, those of tetrominoes 6×8"),
        ({"image": IMAGE[..., 0]}, r"\[6, 8\] is not clearly an image"),
        ({"image": IMAGE - 300.0}, "values from -.* are neither bytes nor from 0 to 1"),
        ({"visibility": np.ones((N, 2, 1))}, "the mask has index 2, but factors have 2 rows"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    arrays = {name: values for name, values in PUBLISHED.items() if name != "num_actual_objects"}
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for name, values in (arrays | changed).items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype() if values.dtype == object else None)
    with pytest.raises(SchemaError, match=message) as caught:
        read(tmp_path / "a.hdf5")
    assert str(tmp_path / "a.hdf5") in str(caught.value)


@pytest.mark.parametrize("kind", ["soft link", "external link", "virtual", "external data"])
def test_nothing_outside_the_file_is_read(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "other.h5", PUBLISHED)
    (tmp_path / "raw").write_bytes(IMAGE.tobytes())
    with h5py.File(write(tmp_path / "a.hdf5", {"mask": MASK, "mine": IMAGE}), "a") as file:
        if kind == "soft link":
            file["image"] = h5py.SoftLink("/mine")
        elif kind == "external link":
            file["image"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "image")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(IMAGE.shape, np.uint8)
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "image", IMAGE.shape)
            file.create_virtual_dataset("image", layout)
        else:
            external = [(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("image", IMAGE.shape, np.uint8, external=external)
    with pytest.raises(SchemaError, match=r"a.hdf5: .*'/?image'"):
        read(tmp_path / "a.hdf5")


def test_a_row_that_exceeds_memory_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"mask": MASK})
    with h5py.File(path, "a") as file:
        file.create_dataset("image", (N, 1 << 20, 1 << 20, 3), np.uint8, chunks=(1, 1, 1, 3))
    with pytest.raises(SchemaError, match="'/image': one row takes more than 1 GiB"):
        read(path)


def test_the_error_for_damage_names_the_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", PUBLISHED, compression="gzip", chunks=True)
    with h5py.File(path) as file:
        chunk = file["image"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + 5 : chunk.byte_offset + 25] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(CorruptDataError, match=r"a.hdf5: row 0: truncated, or cannot be read as HDF5"):
        read(path)
    (tmp_path / "b.hdf5").write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptDataError, match=r"b.hdf5: truncated, or cannot be read as HDF5"):
        read(tmp_path / "b.hdf5")


def test_an_altered_file_is_opened_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"image": IMAGE, "mask": MASK})
    read(path)
    other = write(tmp_path / "b.hdf5", {"image": 255 - IMAGE, "mask": MASK, "more": MASK})
    path.write_bytes(other.read_bytes())
    assert (read(path)[0].image == 255 - IMAGE[0]).all()


def test_a_folder_must_have_exactly_one_hdf5_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="this folder has no file"):
        read(tmp_path)
    write(tmp_path / "a.hdf5", PUBLISHED)
    write(tmp_path / "b.h5", PUBLISHED)
    with pytest.raises(SourceError, match=r"holds 2 HDF5 files; give one of them, such as .*a.hdf5"):
        read(tmp_path)
    assert len(addtt.files([tmp_path / "a.hdf5", tmp_path / "b.h5"], addtt.Config())) == 2


def test_recognition(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = write(tmp_path / "sub" / "a.hdf5", PUBLISHED)
    (tmp_path / "noise.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert addtt.recognises(path) and addtt.recognises(path.parent)
    (tmp_path / "text.h5").write_text("no HDF5")
    assert not any(map(addtt.recognises, (tmp_path / "text.h5", tmp_path / "absent")))
    assert addtt.recognises(tmp_path / "noise.h5")  # it begins as HDF5, so reading it reports the damage
    assert not efficient_morl.recognises(path)
