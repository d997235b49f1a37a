"""What other programs leave in folders and archives is no data."""

from __future__ import annotations

import gzip
import io
import json
import shlex
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import Command, put, scene, score

APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000)


def shard(path: Path, before: str = "", apples: bool = False, root: bool = False) -> None:
    """OCLF's layout, four scenes of the size of Tetrominoes."""
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        if root:
            info = tarfile.TarInfo("./")
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for number in range(4):
            mask = np.zeros((4, 35, 35, 1), np.uint8)
            mask[0], mask[0, 5:9, 5:9], mask[1, 5:9, 5:9] = 255, 0, 255
            arrays: dict[str, NDArray[Any]] = {"image": rng.integers(0, 255, (35, 35, 3), np.uint8), "mask": mask}
            arrays |= {name: np.ones(4, np.float32) for name in ("x", "y", "shape", "visibility")}
            arrays["color"] = np.ones((4, 3), np.float32)
            for name, array in arrays.items():
                stream = io.BytesIO()
                np.save(stream, array)
                if apples:
                    _add(tar, f"{before}._{number}.{name}.npy.gz", APPLE)
                _add(tar, f"{before}{number}.{name}.npy.gz", gzip.compress(stream.getvalue()))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def splits(folder: Path, printed: str) -> dict[str, int]:
    """Scenes by split of the data set whose path a command printed."""
    found: dict[str, int] = json.loads((folder / printed.strip() / "dataset.json").read_text("utf-8"))["splits"]
    return found


@pytest.mark.parametrize("layout", [[], ["--set", "prepare.layout=oclf"]])
def test_oclf_shards_that_were_on_a_mac(layout: list[str], iodine_kit: Command, tmp_path: Path) -> None:
    shard(tmp_path / "in/train/shard-000000.tar")
    (tmp_path / "in/train/._shard-000000.tar").write_bytes(APPLE)
    made = iodine_kit("prepare", "tetrominoes", "--source", "in", *layout, "--store", "store")
    assert splits(tmp_path, made.stdout) == {"train": 4}


@pytest.mark.parametrize(
    "options", [{"apples": True}, {"before": "./", "root": True}, {"before": "data/x/", "apples": True}]
)
def test_archives_that_were_packed_on_a_mac(options: dict[str, Any], iodine_kit: Command, tmp_path: Path) -> None:
    shard(tmp_path / "in/train/shard-000000.tar", **options)
    made = iodine_kit("prepare", "tetrominoes", "--source", "in", "--store", "store")
    assert splits(tmp_path, made.stdout) == {"train": 4}


def test_shards_below_two_folders_are_recognised(iodine_kit: Command, tmp_path: Path) -> None:
    shard(tmp_path / "in/tetrominoes/data/train/shard-000000.tar")
    shard(tmp_path / "in/tetrominoes/__MACOSX/train/shard-000000.tar", apples=True)
    made = iodine_kit("prepare", "tetrominoes", "--source", "in", "--store", "store")
    assert splits(tmp_path, made.stdout) == {"train": 4}


@pytest.mark.parametrize(
    "name", ["{}.idx", "{}.index", "{}.md5", "{}.part", "{}_.gstmp", "{}~", "._{}", "@eaDir/{}", "{}.crdownload"]
)
def test_tfrecord_files_with_another_beside_them(name: str, iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        (tmp_path / f"in/{number}.tfrecords").write_bytes(mini.read_bytes())
    beside = tmp_path / "in" / name.format("1.tfrecords")
    beside.parent.mkdir(exist_ok=True)
    beside.write_bytes(APPLE)
    made = iodine_kit("prepare", "tetrominoes", "--source", "in", "--split", "train=20", "--store", "store")
    assert splits(tmp_path, made.stdout) == {"train": 20}


def test_a_pattern_does_not_match_what_was_left(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        (tmp_path / f"in/{number}.tfrecords").write_bytes(mini.read_bytes())
        (tmp_path / f"in/{number}.tfrecords.idx").write_text("0 100\n")
    made = iodine_kit("prepare", "tetrominoes", "--source", "in/*", "--split", "train=20", "--store", "store")
    assert splits(tmp_path, made.stdout) == {"train": 20}


def test_a_link_to_a_file_that_was_never_fetched_is_named(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/tetrominoes_train.tfrecords").symlink_to("../.git/annex/objects/x")
    error = iodine_kit("prepare", "tetrominoes", "--source", "in", "--store", "store", status=5).stderr
    assert "tetrominoes_train.tfrecords: is a link to a file that does not exist" in error


def test_an_archive_of_predictions_that_was_packed_on_a_mac(
    iodine_kit: Command, tmp_path: Path, tiny: tuple[str, dict[str, NDArray[Any]]]
) -> None:
    dataset, arrays = tiny
    with zipfile.ZipFile(tmp_path / "pred.npz", "w") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            archive.writestr(f"{name}.npy", stream.getvalue())
            archive.writestr(f"__MACOSX/._{name}.npy", APPLE)
            archive.writestr(f"._{name}.npy", APPLE)
    done = iodine_kit("import-predictions", "pred.npz", "--dataset", dataset, "--store", "store")
    assert "MACOSX" not in done.stderr and "._" not in done.stderr
    done = iodine_kit("eval", "--predictions", "pred.npz", "--dataset", dataset, "--metric", "ari", "--store", "store")
    assert score(tmp_path, done.stdout) == 1


def test_pictures_of_predictions_with_leftovers(
    iodine_kit: Command, tmp_path: Path, tiny: tuple[str, dict[str, NDArray[Any]]]
) -> None:
    dataset, arrays = tiny
    for key, mask in zip(arrays["key"], arrays["mask"], strict=True):
        put(tmp_path / f"pred/{key}.png", mask)
        (tmp_path / f"pred/._{key}.png").write_bytes(APPLE)
        put(tmp_path / f"pred/@eaDir/{key}.png", mask)
    (tmp_path / "pred/Thumbs.db").write_bytes(APPLE)
    done = iodine_kit("eval", "--predictions", "pred", "--dataset", dataset, "--metric", "ari", "--store", "store")
    assert score(tmp_path, done.stdout) == 1


def test_a_data_set_that_was_looked_at_on_a_mac_is_whole(
    iodine_kit: Command, tmp_path: Path, tiny: tuple[str, dict[str, NDArray[Any]]]
) -> None:
    dataset, _ = tiny
    for name in (".DS_Store", "._train.h5", "._manifest.json", "Thumbs.db"):
        (tmp_path / dataset / name).write_bytes(APPLE)
    iodine_kit("stats", dataset, "--store", "store")
    iodine_kit("verify", dataset, "--store", "store")


def test_hdf5_and_arrays_with_leftovers(iodine_kit: Command, tmp_path: Path) -> None:
    pairs = [scene(seed, 64, 2) for seed in range(3)]
    for name, rows in (("train_images", [image for image, _ in pairs]), ("train_masks", [mask for _, mask in pairs])):
        (tmp_path / "in").mkdir(exist_ok=True)
        np.save(tmp_path / f"in/{name}.npy", np.stack(rows))
        (tmp_path / f"in/._{name}.npy").write_bytes(APPLE)
        (tmp_path / f"in/{name}.npy.part").write_bytes(APPLE)
        (tmp_path / "in/.ipynb_checkpoints").mkdir(exist_ok=True)
        np.save(tmp_path / f"in/.ipynb_checkpoints/{name}.npy", np.stack(rows))
    source = ("--source", "in", "--set", "dataset.variant=colored_on_colored", "--store", "store")
    assert splits(tmp_path, iodine_kit("prepare", "multi-dsprites", *source).stdout) == {"train": 3}


def test_a_folder_of_pictures_with_leftovers(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(3):
        image, mask = scene(number)
        for place, pixels in (("images", image), ("masks", mask)):
            put(tmp_path / f"in/{place}/{number}.png", pixels)
            put(tmp_path / f"in/{place}/@eaDir/{number}.png", pixels)
            put(tmp_path / f"in/__MACOSX/{place}/{number}.png", pixels)
            (tmp_path / f"in/{place}/._{number}.png").write_bytes(APPLE)
    (tmp_path / "in/images/loop").symlink_to(tmp_path / "in")
    assert splits(tmp_path, iodine_kit("prepare", "folder", "--source", "in", "--store", "store").stdout) == {
        "train": 3
    }


# What the package itself has made


def test_artifacts_below_a_source_are_no_pictures(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"{number}.png", scene(number)[0])
    first = iodine_kit("prepare", "folder", "--source", ".")
    again = iodine_kit("prepare", "folder", "--source", ".")
    assert again.stdout == first.stdout
    assert "3 images" in again.stderr
    assert "1 artifact of iodine-kit skipped" in again.stderr
    assert "3 images" in iodine_kit("inspect", ".").stdout


@pytest.mark.parametrize("command", [("inspect",), ("prepare", "folder", "--source")])
def test_an_artifact_is_no_source(iodine_kit: Command, tmp_path: Path, command: tuple[str, ...]) -> None:
    put(tmp_path / "in" / "0.png", scene()[0])
    dataset = iodine_kit("prepare", "folder", "--source", "in", "--store", "my store").stdout.strip()
    refused = iodine_kit(*command, dataset, status=5).stderr
    assert "is a data set of iodine-kit, already prepared" in refused
    iodine_kit(*shlex.split(refused.partition(": iodine-kit ")[2]))
