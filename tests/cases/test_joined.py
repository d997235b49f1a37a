"""The HDF5 file that joins several shards, copied without some of them, never shows black images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support import TINY, Command

CELL = ("--set", "dataset.cell=2")


def prepared(iodine_kit: Command, folder: Path, *options: str, scenes: int = 40, shard: int = 20) -> Path:
    made = iodine_kit(
        "prepare", "tetrominoes", "--generate", scenes, "--split", f"train={scenes}",
        "--set", f"format.scenes_per_shard={shard}", *options,
    )  # fmt: skip
    return folder / str(made.stdout.strip())


def copied(data: Path, folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        shutil.copy(data / name, folder)
    return folder / "train.h5"


def read(path: Path, place: Path) -> Any:
    """What another program reads, in another process with this working directory; its error as a text."""
    code = """
import h5py, json, sys
try:
    with h5py.File(sys.argv[1]) as file:
        image, keys = file["image"][:], file["key"].asstr()[:].tolist()
        color = file["factors/color"][:]
    print(json.dumps([keys, int(image.reshape(len(image), -1).max(1).min()), list(color.shape)]))
except Exception as error:
    print(json.dumps(type(error).__name__))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=place, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_the_joined_file_alone_is_an_error_and_not_black(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path, *CELL)
    keys, darkest, color = read(data / "train.h5", tmp_path)
    assert len(set(keys)) == 40 and all(key.startswith("train-") for key in keys) and darkest > 0 and color[0] == 40
    assert read(copied(data, tmp_path / "f29", "train.h5"), tmp_path) in ("KeyError", "OSError")


def test_a_copy_without_the_last_shard_is_an_error(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path, *CELL)
    assert read(copied(data, tmp_path / "c", "train.h5", "train-000000.h5"), tmp_path) in ("KeyError", "OSError")


def test_a_copy_without_another_shard_says_so_in_its_keys(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path, *CELL)
    keys, _, _ = read(copied(data, tmp_path / "c", "train.h5", "train-000001.h5"), tmp_path)
    assert all("copy all files of the split" in key for key in keys[:20]) and all(
        k.startswith("train-") for k in keys[20:]
    )


def test_a_moved_data_set_is_read_from_everywhere(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path, *CELL)
    whole = read(data / "train.h5", tmp_path)
    moved = Path(shutil.copytree(data, tmp_path / "else where" / "copy"))
    (tmp_path / "link.h5").symlink_to(moved / "train.h5")
    shutil.rmtree(data)
    assert (
        read(moved / "train.h5", Path("/"))
        == read(Path("train.h5"), moved)
        == read(tmp_path / "link.h5", moved)
        == whole
    )


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_compressed_and_factors(compression: str, iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path, *CELL, "--set", f"format.compression={compression}", shard=12)
    one = prepared(iodine_kit, tmp_path, *CELL, "--set", f"format.compression={compression}", shard=40)
    with h5py.File(data / "train.h5") as joined, h5py.File(one / "train.h5") as single:
        assert set(joined) == set(single) and set(joined["factors"]) == set(single["factors"])
        for name in ("image", "mask", "key", "factors/color", "factors/x"):
            assert joined[name].dtype == single[name].dtype and (joined[name][:] == single[name][:]).all()


def test_a_joined_file_as_source_names_the_shard_to_copy(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path)
    lone = copied(data, tmp_path / "lone", "train.h5", "train-000001.h5")
    command = ("prepare", "tetrominoes", "--split", "train=40", "--source", lone)
    message = " ".join(iodine_kit(*command, status=5).stderr.split())
    assert "train.h5: joins 2 shards, of which" in message and "train-000000.h5 is missing; copy all files" in message
    shutil.copy(data / "train-000000.h5", lone.parent)
    again = tmp_path / iodine_kit(*command).stdout.strip()
    with h5py.File(data / "train.h5") as before, h5py.File(again / "train.h5") as after:
        assert (before["image"][:] == after["image"][:]).all() and (before["mask"][:] == after["mask"][:]).all()


def test_joined_predictions_name_the_shard_to_copy(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path, *CELL)
    lone = copied(data, tmp_path / "lone", "train.h5")
    command = ("import-predictions", lone, "--dataset", data, "--model", "truth", "--set", "import.split=train")
    message = " ".join(iodine_kit(*command, status=5).stderr.split())
    assert "joins 2 shards, of which" in message and "train-000000.h5 (and 1 more) is missing" in message
    for name in ("train-000000.h5", "train-000001.h5"):
        shutil.copy(data / name, lone.parent)
    iodine_kit(*command)
    iodine_kit("eval", "--metric", "ari")
    (summary,) = (tmp_path / "data/evaluation").glob("*/summary.json")
    assert json.loads(summary.read_text("utf-8"))["metrics"]["ari"]["mean"] == 1


def test_a_data_set_that_lost_a_shard_names_it(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path, *CELL)
    (data / "train-000000.h5").rename(tmp_path / "kept.h5")
    for command in (("stats", data), ("train", "--dataset", data, *TINY), ("export", data, "out"), ("verify", data)):
        done = iodine_kit(*command, status=11)
        assert "train-000000.h5 is missing" in " ".join((done.stderr + done.stdout).split())
    (tmp_path / "kept.h5").rename(data / "train-000000.h5")
    iodine_kit("stats", data)


def test_files_joined_by_virtual_data_sets_are_still_sources(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path)
    old = copied(data, tmp_path / "old", "train-000000.h5", "train-000001.h5")
    with h5py.File(old, "w", libver="latest") as file:  # as earlier versions wrote it
        file.attrs["schema"], file.attrs["shards"] = "iodine-kit/hdf5/2", ["train-000000.h5", "train-000001.h5"]
        for name, tail in (("image", (35, 35, 3)), ("mask", (35, 35))):
            layout = h5py.VirtualLayout((40, *tail), np.uint8)
            for number in range(2):
                source = h5py.VirtualSource(f"train-{number:06d}.h5", name, (20, *tail))
                layout[20 * number : 20 * number + 20] = source
            file.create_virtual_dataset(name, layout)
    again = tmp_path / iodine_kit("prepare", "tetrominoes", "--split", "train=40", "--source", old).stdout.strip()
    with h5py.File(data / "train.h5") as before, h5py.File(again / "train.h5") as after:
        assert (before["image"][:] == after["image"][:]).all()


def test_a_joined_file_of_others_is_still_refused(iodine_kit: Command, tmp_path: Path) -> None:
    data = prepared(iodine_kit, tmp_path, *CELL)
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["mask"] = h5py.ExternalLink(str(data / "train-000000.h5"), "/mask")
    command = ("import-predictions", "p.h5", "--dataset", data, "--model", "m", "--set", "import.split=train")
    assert "p.h5" in iodine_kit(*command, status=7).stderr
    with h5py.File(tmp_path / "p.h5", "a") as file:
        file.attrs["schema"], file.attrs["shards"] = "iodine-kit/hdf5/2", [str(data / "train-000000.h5")]
    assert "is not in the same folder" in " ".join(iodine_kit(*command, status=6).stderr.split())
