"""What the system refuses is reported with a remedy that works, and never as damage of files."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import TINY, Command

STORAGE = 14
FEW = [*TINY, "--set", "model.slots=3", "--set", "train.batch_size=2", "--set", "train.steps=2"]
CPU = ["--set", "train.device=cpu", "--set", "train.threads=1", "--set", "train.validate_every=0"]
WITHOUT_LOCKS = {"HDF5_USE_FILE_LOCKING": "FALSE"}


def tiny(iodine_kit: Command, scenes: int = 40, *options: str) -> str:
    """A data set of small scenes; returns its directory."""
    splits = ("--split", f"train={scenes - 10}", "--split", "test=10")
    made = iodine_kit("prepare", "tetrominoes", "--generate", scenes, *splits, "--set", "dataset.cell=2", *options)
    return str(made.stdout.strip())


def program(
    folder: Path, *arguments: object, status: int = 0, files: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line with other variables of the environment, or with a limit of open files."""
    command = [sys.executable, "-m", "iodine_kit", *map(str, arguments)]
    if files:
        command = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *command]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, f"{command} ended in {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def flat(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def locked(*paths: Path) -> Iterator[None]:
    """Another process holds the locks of these files, as one that writes them does."""
    code = (
        "import fcntl, sys; files = [open(path, 'rb') for path in sys.argv[1:]];"
        "[fcntl.flock(file, fcntl.LOCK_EX) for file in files]; print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        yield
        holder.communicate()


def masks(path: Path, scenes: int = 10, size: int = 14) -> Path:
    with h5py.File(path, "w") as file:
        file["mask"] = np.random.default_rng(0).integers(0, 3, (scenes, size, size), np.uint8)
    return path


ORDER = ("--set", "import.order=dataset")


def test_a_locked_predictions_file_is_read_once_locks_are_ignored(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit)
    command = ("import-predictions", masks(tmp_path / "p.h5"), "--dataset", data, "--model", "m", *ORDER)
    with locked(tmp_path / "p.h5"):
        message = flat(iodine_kit(*command, status=STORAGE).stderr)
        assert "p.h5: is locked: another program has it open for writing" in message
        assert "HDF5_USE_FILE_LOCKING=FALSE" in message and "truncated" not in message
        program(tmp_path, *command, **WITHOUT_LOCKS)
    iodine_kit(*command, "--overwrite")


def test_a_locked_data_set_trains_once_locks_are_ignored(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit)
    command = ("train", "--dataset", data, *FEW, *CPU)
    with locked(tmp_path / data / "train.h5", tmp_path / data / "test.h5"):
        message = flat(iodine_kit(*command, status=STORAGE).stderr)
        assert "train.h5: is locked" in message and "HDF5_USE_FILE_LOCKING=FALSE" in message
        program(tmp_path, *command, **WITHOUT_LOCKS)


def test_a_locked_source_is_recognised_and_reported(iodine_kit: Command, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        mask = np.zeros((4, 35, 35), np.uint8)
        mask[:, 5:9, 5:9] = 1
        file["image"], file["mask"] = np.repeat(mask[..., None] * 90, 3, -1), mask
    command = ("prepare", "tetrominoes", "--source", "t.h5", "--split", "train=4")
    with locked(tmp_path / "t.h5"):
        message = flat(iodine_kit(*command, status=STORAGE).stderr)
        assert "t.h5: is locked" in message and "layout" not in message.split("error:")[1]
        program(tmp_path, *command, **WITHOUT_LOCKS)


@pytest.mark.parametrize("storage", ["webdataset", "hdf5"])
def test_many_shards_need_few_open_files(storage: str, iodine_kit: Command, tmp_path: Path) -> None:
    options = ("--format", storage, "--set", "format.scenes_per_shard=2")
    data = program(
        tmp_path, "prepare", "tetrominoes", "--generate", 300, "--split", "train=300", "--set", "dataset.cell=2",
        *options, files=64,
    ).stdout.strip()  # fmt: skip
    assert len(list((tmp_path / data).glob("train-0*"))) == 150
    program(tmp_path, "stats", data, files=100)
    program(tmp_path, "train", "--dataset", data, *FEW, *CPU, "--set", "train.steps=40", files=64)
    program(tmp_path, "infer", "--set", "infer.split=train", "--set", "infer.device=cpu", files=64)
    program(tmp_path, "eval", "--metric", "ari", files=64)


@pytest.mark.parametrize("storage", ["webdataset", "hdf5"])
def test_many_compressed_shards_are_exported_with_few_open_files(
    storage: str, iodine_kit: Command, tmp_path: Path
) -> None:
    compressed = ("--set", "format.compression=gzip") if storage == "hdf5" else ()
    data = iodine_kit(
        "prepare", "tetrominoes", "--generate", 100, "--split", "train=100", "--format", storage,
        "--set", "format.scenes_per_shard=1", *compressed,
    ).stdout.strip()  # fmt: skip
    program(tmp_path, "export", data, "out", files=48)
    again = program(tmp_path, "prepare", "tetrominoes", "--source", "out", "--split", "train=100", files=48)
    assert (tmp_path / again.stdout.strip()).is_dir()


def test_a_file_that_is_still_written_is_read_when_its_writer_ends(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit)
    writer = (
        "import h5py, sys, numpy as np; file = h5py.File('p.h5', 'w', libver='latest');"
        "file['mask'] = np.zeros((10, 14, 14), np.uint8); file.swmr_mode = True; print('open', flush=True);"
        "sys.stdin.read(); file.close()"
    )
    command = ("import-predictions", "p.h5", "--dataset", data, "--model", "m", *ORDER)
    arguments = [sys.executable, "-c", writer]
    with subprocess.Popen(arguments, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        message = flat(iodine_kit(*command, status=STORAGE).stderr)
        assert "another program has this file open for writing; wait until it ends" in message
        process.communicate()
    iodine_kit(*command)


def test_a_file_whose_writer_was_killed_is_written_again(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit)
    writer = (
        "import h5py, os, numpy as np; file = h5py.File('p.h5', 'w', libver='latest');"
        "file['mask'] = np.zeros((10, 14, 14), np.uint8); file.flush(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", writer], cwd=tmp_path, check=False)
    command = ("import-predictions", "p.h5", "--dataset", data, "--model", "m", *ORDER)
    assert "its writer was killed: write the file again" in flat(iodine_kit(*command, status=STORAGE).stderr)
    if shutil.which("h5clear"):
        subprocess.run(["h5clear", "-s", "p.h5"], cwd=tmp_path, check=True)
    else:
        masks(tmp_path / "p.h5")
    iodine_kit(*command)


def filtered(path: Path, filter_mask: int) -> Path:
    """Masks in chunks that passed blosc, or (``filter_mask`` 1) that were stored without it; they are no blosc data."""
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, 14, 14))
        properties.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (2, 2, 1, 196, 5, 0, 5))
        space = h5py.h5s.create_simple((10, 14, 14))
        found = h5py.h5d.create(file.id, b"mask", h5py.h5t.NATIVE_UINT8, space, properties)
        for row in range(10):
            found.write_direct_chunk((row, 0, 0), bytes(196), filter_mask=filter_mask)
    return path


def test_a_missing_filter_of_hdf5_is_named(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit)
    (tmp_path / "without").mkdir()
    (tmp_path / "without/hdf5plugin.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join([str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")])
    command = ("import-predictions", filtered(tmp_path / "p.h5", 0), "--dataset", data, "--model", "m", *ORDER)
    message = flat(program(tmp_path, *command, status=STORAGE, PYTHONPATH=path).stderr)
    assert "32001" in message and "iodine-kit[blosc]" in message and "truncated" not in message
    filtered(tmp_path / "p.h5", 1)
    program(tmp_path, *command, PYTHONPATH=path)


def test_the_extra_blosc_reads_third_party_files_with_its_filters(iodine_kit: Command, tmp_path: Path) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    data = tiny(iodine_kit)
    for name in ("Blosc", "Zstd", "Bitshuffle", "LZ4"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("mask", data=np.eye(140, 14, dtype=np.uint8).reshape(10, 14, 14),
                                chunks=(1, 14, 14), **getattr(hdf5plugin, name)())  # fmt: skip
        iodine_kit("import-predictions", f"{name}.h5", "--dataset", data, "--model", name, *ORDER)


def test_a_source_of_many_files_needs_few_open_files(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(120):
        with h5py.File(tmp_path / f"{number:03}.h5", "w") as file:
            mask = np.zeros((1, 35, 35), np.uint8)
            mask[:, 5:9, 5 : 6 + number % 20] = 1
            file["image"], file["mask"] = np.repeat(mask[..., None] * 90, 3, -1), mask
    program(tmp_path, "prepare", "tetrominoes", "--source", "*.h5", "--split", "train=120", files=48)


def test_too_many_open_files_have_their_own_remedy(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit)
    ends = []
    for limit in range(4, 9):  # so few that the data set cannot be opened, but that Python starts
        command = [
            "sh",
            "-c",
            f'ulimit -n {limit} && exec "$@"',
            "sh",
            sys.executable,
            "-m",
            "iodine_kit",
            "stats",
            data,
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        ends.append((done.returncode, flat(done.stderr)))
    messages = [message for status, message in ends if status == STORAGE]
    assert messages and all("Too many open files" in message and "ulimit -n 4096" in message for message in messages)
    assert not {6, 11} & {status for status, _ in ends}
    program(tmp_path, "stats", data, files=4096)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_not_damaged(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit)
    masks(tmp_path / "p.h5").chmod(0)
    command = ("import-predictions", "p.h5", "--dataset", data, "--model", "m", *ORDER)
    assert "permissions" in flat(iodine_kit(*command, status=STORAGE).stderr)
    (tmp_path / "p.h5").chmod(0o644)
    iodine_kit(*command)


def test_a_disk_limit_while_preparing_keeps_the_finished_shards(iodine_kit: Command, tmp_path: Path) -> None:
    command = (
        "prepare", "tetrominoes", "--generate", "2000", "--split", "train=2000", "--set", "format.scenes_per_shard=500"
    )  # fmt: skip
    whole = iodine_kit(*command, "--store", "whole").stdout.strip()
    limited = ["sh", "-c", 'ulimit -f 1000 && exec "$@"', "sh", sys.executable, "-m", "iodine_kit", *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"}
    failed = subprocess.run(limited, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == STORAGE and "ulimit -f" in flat(failed.stderr)
    made = iodine_kit(*command).stdout.strip()
    for path in (tmp_path / whole).glob("*.h5"):
        assert path.read_bytes() == (tmp_path / made / path.name).read_bytes()


def test_a_limit_while_predicting_ends_without_a_crash(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit, 300)
    iodine_kit("train", "--dataset", data, *FEW, *CPU)
    command = ("infer", "--set", "infer.split=train", "--set", "infer.device=cpu")
    limited = ["sh", "-c", 'ulimit -f 30 && exec "$@"', "sh", sys.executable, "-m", "iodine_kit", *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"}
    failed = subprocess.run(limited, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == STORAGE and "cannot be written (File too large)" in flat(failed.stderr)
    assert "Traceback" not in failed.stderr
    iodine_kit(*command)


def test_links_that_lead_back_to_themselves_are_named(iodine_kit: Command, tmp_path: Path) -> None:
    data = tiny(iodine_kit)
    for name in ("loop", "loop.h5"):
        (tmp_path / name).symlink_to(name)
    message = flat(iodine_kit("prepare", "clevr", "--source", "loop", status=5).stderr)
    assert "loop: is a symbolic link that leads to no file" in message
    iodine_kit("stats", data, "--store", "loop", status=10)
    command = ("import-predictions", "loop.h5", "--dataset", data, "--model", "m", *ORDER)
    assert "replace the link by the file" in flat(iodine_kit(*command, status=STORAGE).stderr)
    (tmp_path / "loop.h5").unlink()
    masks(tmp_path / "loop.h5")
    iodine_kit(*command)


def test_a_settings_file_that_is_a_folder_is_no_wrong_toml(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "p.toml").mkdir()
    message = flat(iodine_kit("run", "p.toml", status=STORAGE).stderr)
    assert "p.toml: cannot be read (Is a directory); it is a folder; give a file" in message


def test_nobody_is_told_to_delete_an_artifact_whose_manifest_cannot_be_read(
    iodine_kit: Command, tmp_path: Path
) -> None:
    data = tiny(iodine_kit)
    manifest = tmp_path / data / "manifest.json"
    manifest.rename(tmp_path / "kept")
    manifest.symlink_to("manifest.json")  # a link to itself, as a failed copy may leave it
    done = subprocess.run(
        [sys.executable, "-m", "iodine_kit", "stats", data], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode in (10, STORAGE) and "delete" not in done.stderr
    manifest.unlink()
    (tmp_path / "kept").rename(manifest)
    iodine_kit("stats", data)


def test_the_holder_of_a_lock_is_real(tmp_path: Path) -> None:
    path = masks(tmp_path / "a.h5")
    with locked(path), path.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
