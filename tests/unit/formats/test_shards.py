"""Splits of many shards: few are open at the same time, and a joined HDF5 file without its shards is never black."""

from __future__ import annotations

import errno
import fcntl
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from fakes import OPEN_HEADER, save_bomb
from unit.formats.stored_scenes import each_format, same, scenes, written

from iodine_kit.errors import CorruptDataError, SourceError, StorageError
from iodine_kit.formats import FORMATS, Sample
from iodine_kit.system import OpenFiles


@each_format
def test_few_shards_are_open_at_the_same_time(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = scenes(12)
    directory = written(name, tmp_path, given, scenes_per_shard=1)
    monkeypatch.setattr("iodine_kit.system.most_open_files", lambda: 2)
    before = open_files(directory)
    reader = FORMATS.load(name).open_split(directory, "train")
    order = [11, 0, 5, 5, 1, 11, 3]
    batch = reader.batch(order)
    assert (batch.image == np.stack([given[i].image for i in order])).all()
    assert all(same(reader.scene(i), scene) for i, scene in enumerate(given))
    assert 0 < open_files(directory) - before <= 2
    reader.close()
    assert open_files(directory) == before
    with pytest.raises(ValueError, match="closed"):
        reader.batch([0])


@each_format
def test_threads_can_share_a_reader(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = scenes(12)
    directory = written(name, tmp_path, given, scenes_per_shard=1)
    monkeypatch.setattr("iodine_kit.system.most_open_files", lambda: 2)
    reader = FORMATS.load(name).open_split(directory, "train")

    def read(seed: int) -> bool:
        order = np.random.default_rng(seed).integers(0, 12, 200).tolist()
        batches = (reader.batch([i, 11 - i]).image[1] for i in order)
        return all(
            same(reader.scene(i), given[i]) and (image == given[11 - i].image).all()
            for i, image in zip(order, batches, strict=True)
        )

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert all(threads.map(read, range(4)))
    finally:
        sys.setswitchinterval(before)


def open_files(directory: Path) -> int:
    """How many files below a folder this process has open, each counted once."""
    names = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            names.add(str(link.readlink()))
    return sum(name.startswith(str(directory)) for name in names)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_shard_needs_one_descriptor_for_all_its_columns(compression: str, tmp_path: Path) -> None:
    reader = FORMATS.load("hdf5").open_split(written("hdf5", tmp_path, scenes(3), compression=compression), "train")
    reader.scene(0)
    links = [link.resolve() for link in Path("/proc/self/fd").iterdir() if link.exists()]
    assert links.count(tmp_path / "train.h5") <= 2


def test_a_file_keeps_the_order_of_use_of_its_shards() -> None:
    closed: list[int] = []
    files = OpenFiles(lambda number: number, closed.append, most=2)
    for number in (1, 2, 1, 3, 1, 4):
        assert files[number] == number
    assert closed == [2, 3]
    files.close()
    assert sorted(closed) == [1, 2, 3, 4]


def joined(directory: Path) -> Path:
    return written("hdf5", directory, scenes(7), scenes_per_shard=3) / "train.h5"


COLUMNS = ("image", "mask", "key", "factors/color")


def test_a_joined_file_alone_cannot_be_read_by_any_program(tmp_path: Path) -> None:
    lone = Path(shutil.copy(joined(tmp_path / "whole"), tmp_path))
    with h5py.File(lone) as file:
        assert {"image", "mask", "key"} < set(file) and "color" in file["factors"]
        for column in COLUMNS:
            with pytest.raises(KeyError):
                file[column]


def test_without_the_last_shard_a_joined_file_cannot_be_read(tmp_path: Path) -> None:
    path = joined(tmp_path)
    (tmp_path / "train-000002.h5").unlink()
    with h5py.File(path) as file, pytest.raises(KeyError):
        file["image"]


def test_without_another_shard_its_keys_say_what_is_missing(tmp_path: Path) -> None:
    path = joined(tmp_path)
    (tmp_path / "train-000001.h5").unlink()
    with h5py.File(path) as file:
        keys = file["key"].asstr()[:].tolist()
    expected = [scene.key for scene in scenes(7)]
    assert keys[:3] + keys[6:] == expected[:3] + expected[6:]
    assert all("cannot be opened: copy all files of the split to one folder" in key for key in keys[3:6])


@pytest.mark.parametrize("missing", [["train-000001.h5"], ["train-000000.h5", "train-000001.h5", "train-000002.h5"]])
def test_the_reader_names_the_missing_shard(missing: list[str], tmp_path: Path) -> None:
    joined(tmp_path)
    for name in missing:
        (tmp_path / name).rename(tmp_path / f"{name}.away")
    with pytest.raises(
        SourceError, match=rf"train\.h5: joins 3 shards, of which .*{missing[0]}.* is missing; copy all"
    ):
        FORMATS.load("hdf5").open_split(tmp_path, "train")
    for name in missing:
        (tmp_path / f"{name}.away").rename(tmp_path / name)
    assert len(FORMATS.load("hdf5").open_split(tmp_path, "train")) == 7


def test_a_joined_file_is_read_from_every_working_directory(tmp_path: Path) -> None:
    path = joined(tmp_path / "a" / "b")
    (tmp_path / "link.h5").symlink_to(path)
    program = (
        "import h5py, sys; f = h5py.File(sys.argv[1]); print(f['key'].asstr()[:].tolist(), f['image'][:].max() > 0)"
    )
    expected = f"{[scene.key for scene in scenes(7)]} True\n"
    for place, name in (
        ("/", path),
        (tmp_path, "a/b/train.h5"),
        (path.parent, "train.h5"),
        ("/", tmp_path / "link.h5"),
    ):
        done = subprocess.run([sys.executable, "-c", program, str(name)], cwd=place, capture_output=True, text=True)
        assert done.stdout == expected, done.stderr


def test_joined_files_have_the_same_bytes_at_another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:];"
        "from unit.formats.test_shards import joined; joined(Path(sys.argv[1]))"
    )
    joined(tmp_path / "now")
    # Another process whose clock is a day ahead, as HDF5 sees it.
    later = ["faketime", "+1d"] if shutil.which("faketime") else []
    root, tests = Path(__file__).parents[3], Path(__file__).parents[2]
    command = [*later, sys.executable, "-c", program, str(tmp_path / "later"), str(root), str(tests)]
    subprocess.run(command, check=True, cwd=root)
    for path in (tmp_path / "now").iterdir():
        assert path.read_bytes() == (tmp_path / "later" / path.name).read_bytes(), path.name


def test_files_that_were_joined_by_virtual_data_sets_are_still_read(tmp_path: Path) -> None:
    given = scenes(7)
    joined(tmp_path)
    names = [f"train-{number:06d}.h5" for number in range(3)]
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file.attrs["schema"], file.attrs["shards"] = "iodine-kit/hdf5/2", names
        layout = h5py.VirtualLayout((7, *given[0].mask.shape), "u1")
        for number, name in enumerate(names):
            rows = slice(3 * number, min(3 * number + 3, 7))
            layout[rows] = h5py.VirtualSource(name, "mask", (rows.stop - rows.start, *given[0].mask.shape))
        file.create_virtual_dataset("mask", layout)
    reader = FORMATS.load("hdf5").open_split(tmp_path, "train")
    assert all(same(reader.scene(i), scene) for i, scene in enumerate(given))


def test_finishing_a_joined_split_twice_changes_nothing(tmp_path: Path) -> None:
    plugin = FORMATS.load("hdf5")
    joined(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    plugin.finish(tmp_path, "train", [3, 3, 1], plugin.Config(scenes_per_shard=3))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_locked_split_is_not_damaged(tmp_path: Path) -> None:
    directory = written("hdf5", tmp_path, scenes(3))
    with (directory / "train.h5").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="HDF5_USE_FILE_LOCKING=FALSE"):
            FORMATS.load("hdf5").open_split(directory, "train")


@each_format
def test_a_split_that_may_not_be_read_is_not_damaged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = FORMATS.load(name).open_split(written(name, tmp_path, scenes(3), scenes_per_shard=1), "train")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=r"train-00000[0-2].*permissions"):
        reader.batch([2, 0])


@pytest.mark.parametrize("instead", [b"no array", OPEN_HEADER])
@pytest.mark.parametrize("member", ["key.npy", "shard.npy", "place.npy"])
def test_an_index_whose_columns_are_no_arrays_is_refused(member: str, instead: bytes, tmp_path: Path) -> None:
    folder = written("webdataset", tmp_path, scenes(2))
    index = folder / "train.index.npz"
    with zipfile.ZipFile(index) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(index, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, instead if name == member else content)
    with pytest.raises(CorruptDataError, match=r"train\.index\.npz: not an index"):
        FORMATS.load("webdataset").open_split(folder, "train")


def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    plugin, (scene,) = FORMATS.load("webdataset"), scenes(1)
    save_bomb(tmp_path / "bomb.png")
    parts = plugin.encode(scene, plugin.Config())
    parts = {name: (tmp_path / "bomb.png").read_bytes() if "image" in name else part for name, part in parts.items()}
    plugin.write_shard(tmp_path, "train", 0, iter([Sample(scene.key, parts)]), 1, {}, plugin.Config())
    plugin.finish(tmp_path, "train", [1], plugin.Config())
    with pytest.raises(CorruptDataError, match="image is not a valid image"):
        plugin.open_split(tmp_path, "train").scene(0)
