"""What the operating system or the HDF5 library refuses is never called damage, and its message has a remedy."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from iodine_kit.config import read_toml
from iodine_kit.datasets._dsprites import load_sprites
from iodine_kit.errors import CorruptDataError, IodineKitError, MemoryLimitError, StorageError
from iodine_kit.layouts import oclf
from iodine_kit.predictions.file import PredictionReader
from iodine_kit.predictions.readers import READERS
from iodine_kit.store import manifest
from iodine_kit.system import most_open_files, refusal, storage_error, storage_errors
from iodine_kit.tensorbundle.files import Folder, ZipFolder
from iodine_kit.tfrecord import read_records
from iodine_kit.untrusted import hdf5, npy, pictures

REMEDIES = {
    errno.EACCES: "permissions",
    errno.EROFS: "another folder",
    errno.ENOSPC: "free disk space",
    errno.EDQUOT: "quota",
    errno.EFBIG: "ulimit -f",
    errno.EMFILE: "ulimit -n",
    errno.ENFILE: "end other programs",
    errno.ESTALE: "mount",
    errno.EIO: "does not answer",
    errno.ETIMEDOUT: "does not answer",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "shorter name",
    errno.ELOOP: "link",
    errno.ENOENT: "removed or renamed",
    errno.ENOLCK: "file locks",
    errno.EBUSY: "check the file",
}


@pytest.mark.parametrize(("number", "remedy"), REMEDIES.items())
def test_every_error_of_the_system_has_its_remedy(number: int, remedy: str) -> None:
    found = refusal(OSError(number, os.strerror(number)), "a/b.h5")
    assert isinstance(found, StorageError) and remedy in str(found) and os.strerror(number) in str(found)
    assert str(found).startswith("a/b.h5: cannot be read (")


@pytest.mark.parametrize(("number", "remedy"), REMEDIES.items())
def test_the_number_is_also_found_in_the_messages_of_h5py(number: int, remedy: str) -> None:
    text = f"Can't read data (file read failed: errno = {number}, error message = '{os.strerror(number)}', total = 8)"
    assert remedy in str(refusal(OSError(text), "x")) and remedy in str(refusal(RuntimeError(text), "x"))


@pytest.mark.parametrize(
    "number", [errno.EAGAIN, errno.ENOSYS, errno.ENOLCK, errno.EIO, errno.EOPNOTSUPP, errno.EACCES]
)
def test_a_refused_lock_names_the_variable_that_does_without(number: int) -> None:
    text = f"Unable to open file (unable to lock file, errno = {number}, error message = '{os.strerror(number)}')"
    found = str(refusal(OSError(number, text), "x"))
    assert "HDF5_USE_FILE_LOCKING=FALSE" in found
    assert ("another program" in found) == (number == errno.EAGAIN)


WRONG_BYTES = (ValueError("bad"), OSError("truncated file: eof = 1"), OSError(errno.EINVAL, "seek"), KeyError("x"))


@pytest.mark.parametrize("error", WRONG_BYTES)
def test_wrong_bytes_are_not_refusals(error: Exception) -> None:
    assert refusal(error, "x") is None
    assert isinstance(storage_error(error, "x"), StorageError)


def test_full_memory_has_its_own_error() -> None:
    for error in (MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")):
        assert isinstance(refusal(error, "x"), MemoryLimitError)


def test_a_file_that_cannot_be_closed_is_refused_too() -> None:
    with pytest.raises(StorageError, match="free disk space"), storage_errors("x", "written"):
        raise RuntimeError("Can't decrement id ref count (file write failed: errno = 28, error message = 'No space')")
    with pytest.raises(RuntimeError, match="other"), storage_errors("x", "written"):
        raise RuntimeError("other")


def test_the_limit_of_open_files_follows_that_of_the_process() -> None:
    program = "from iodine_kit.system import most_open_files; print(most_open_files())"
    for limit, most in ((64, 8), (100, 12), (1024, 128), (8000, 512)):
        done = subprocess.run(
            ["sh", "-c", f'ulimit -n {limit} && "$0" -c "$1"', sys.executable, program], capture_output=True, text=True
        )
        assert done.stdout.strip() == str(most), done.stderr
    assert 4 <= most_open_files() <= 512


def npz(path: Path) -> Path:
    np.savez(path, mask=np.zeros((2, 4, 4), np.uint8))
    return path


def h5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["mask"], file["key"] = np.zeros((2, 4, 4), np.uint8), ["a", "b"]
    return path


def npy_file(path: Path) -> Path:
    np.save(path, np.zeros((2, 4, 4), np.uint8))
    return path


def png(path: Path) -> Path:
    Image.new("L", (4, 4)).save(path)
    return path


def archive(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("c/m.index", b"x")
    return path


def other(path: Path) -> Path:
    path.write_bytes(b"x" * 2000)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "manifest.json").write_bytes(b"{}")
    return path


READ: dict[str, tuple[Callable[[Path], Path], str, Callable[[Path], Any]]] = {
    "hdf5": (h5, "a.h5", hdf5.open_file),
    "predictions": (h5, "a.h5", PredictionReader),
    "hdf5 column": (h5, "a.h5", lambda path: READERS.load("hdf5").columns(path)),
    "npz column": (npz, "a.npz", lambda path: READERS.load("npz").columns(path)["mask"]),
    "npy column": (npy_file, "a.npy", lambda path: READERS.load("npy").columns(path)),
    "npy header": (npy_file, "a.npy", npy.file_header),
    "npy": (npy_file, "a.npy", npy.map_array),
    "picture": (png, "a.png", lambda path: pictures.read_rgb(path, str(path))),
    "tar": (other, "a.tar", oclf.recognises),
    "tfrecord": (other, "a.tfrecords", lambda path: next(read_records(path))),
    "zip of a checkpoint": (archive, "a.zip", lambda path: ZipFolder(path, "c")),
    "folder of a checkpoint": (other, "a.index", lambda path: Folder(path.parent).read(path.name, 0, 4)),
    "dsprites": (npz, "d.npz", lambda path: load_sprites(str(path))),
    "manifest": (folder, "artifact", manifest.read_manifest),
    "toml": (other, "a.toml", read_toml),
}


@pytest.mark.parametrize("kind", READ)
def test_every_reader_reports_too_many_open_files(kind: str, tmp_path: Path) -> None:
    make, name, read = READ[kind]
    path = make(tmp_path / name)
    with pytest.raises(IodineKitError) as before:
        read(path)
        raise StorageError("it could be read")
    files: list[io.TextIOWrapper] = []
    limited = _limit_open_files(files)
    try:
        with pytest.raises(StorageError, match="ulimit -n") as caught:
            read(path)
    finally:
        limited()
    assert str(path) in str(caught.value) and str(caught.value) != str(before.value)


def _limit_open_files(files: list[io.TextIOWrapper]) -> Callable[[], None]:
    """Use up what this process may open; returns what undoes it."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, limits[1]))  # noqa: PTH208
    try:
        while True:
            files.append(Path(os.devnull).open())  # noqa: SIM115
    except OSError:
        pass

    def undo() -> None:
        for file in files:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    return undo


def test_a_locked_file_is_not_damaged(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for read in (hdf5.open_file, PredictionReader):
            with pytest.raises(StorageError, match="HDF5_USE_FILE_LOCKING=FALSE"):
                read(path)


def test_a_file_whose_writer_was_killed_is_not_damaged(tmp_path: Path) -> None:
    program = "import h5py, os; f = h5py.File('a.h5', 'w', libver='latest'); f['x'] = 1; f.flush(); os._exit(0)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    with pytest.raises(StorageError, match=r"another program has this file open for writing.*h5clear"):
        hdf5.open_file(tmp_path / "a.h5")


def with_filter(path: Path, number: int) -> Path:
    """A file whose data were compressed by a filter that no package has."""
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, 4, 4))
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (0,))
        space = h5py.h5s.create_simple((2, 4, 4))
        data = h5py.h5d.create(file.id, b"mask", h5py.h5t.NATIVE_UINT8, space, properties)
        data.write_direct_chunk((0, 0, 0), b"xxxx")
    return path


def test_a_missing_filter_is_named_with_the_package_that_has_it(tmp_path: Path) -> None:
    path = with_filter(tmp_path / "a.h5", 31999)
    with pytest.raises(StorageError, match=r"filter 31999 .*iodine-kit\[blosc\]"):
        READERS.load("hdf5").columns(path)
    with h5py.File(path) as file, pytest.raises(StorageError, match=r"iodine-kit\[blosc\]"), hdf5.reading("x"):
        file["mask"][:]


def test_wrong_bytes_are_still_damage(tmp_path: Path) -> None:
    for make, name, read in (READ["hdf5"], READ["npy"], READ["npz column"], READ["zip of a checkpoint"]):
        path = make(tmp_path / name)
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(CorruptDataError):
            read(path)


WRITE = """
import resource, sys
from pathlib import Path
from iodine_kit.errors import StorageError
from iodine_kit.untrusted.hdf5 import create_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with create_file(Path("a.h5")) as file:
        data = file.create_dataset("x", (int(sys.argv[1]),), "u1")
        data[:] = 1
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("size", [100_000, 900], ids=["while it writes", "when it closes the file"])
def test_a_limit_of_the_disk_does_not_end_the_process(size: int, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITE, str(size)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert done.stdout.startswith("a.h5: cannot be written (File too large); the file system, or the limit that")
