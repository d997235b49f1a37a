"""A ``.npz`` file: arrays by name. An array is unpacked into the folder for temporary files and mapped there.

A compressed member can only be read from its beginning, but scenes may be needed in another order.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO
from zipfile import ZipFile

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.predictions.readers import ArrayColumn, Column
from iodine_kit.system import refusal, require_free_space, storage_errors
from iodine_kit.untrusted import ZIP_ERRORS
from iodine_kit.untrusted.folders import is_data
from iodine_kit.untrusted.npy import map_array

VERSION = 1
_HEADS = (b"PK\x03\x04", b"PK\x05\x06")
_SUFFIX = ".npy"


def recognises(path: Path, head: bytes) -> bool:
    """By its first bytes: those of a zip archive."""
    return head.startswith(_HEADS)


def files(path: Path) -> list[Path]:
    """The file itself."""
    return [path]


def columns(path: Path) -> Mapping[str, Column]:
    """Its arrays, each unpacked when it is first used.

    Raises:
        CorruptDataError: the archive is damaged; also raised when an array is first used.
        SchemaError: it has no arrays, or the array is a pickle.
        StorageError: the system refuses to read the archive, or the disk has too little space to unpack the array.
    """
    try:
        with ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(_SUFFIX) and is_data(name)]
    except ZIP_ERRORS as error:
        problem = f"{path}: this archive is truncated or altered ({error}); write it again"
        raise refusal(error, path) or CorruptDataError(problem) from error
    if not members:
        raise SchemaError(f"{path}: an archive without NumPy arrays; save it with numpy.savez")
    return _Members(path, members)


class _Members(Mapping[str, Column]):
    def __init__(self, path: Path, members: list[str]) -> None:
        self._path = path
        self._members = {name.removesuffix(_SUFFIX): name for name in members}
        self._unpacked: dict[str, Column] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="iodine-kit-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> Column:
        if name not in self._unpacked:
            place = self._folder / f"{len(self._unpacked)}.npy"  # never its name in the archive, which is a path
            self._unpack(self._members[name], place)
            self._unpacked[name] = ArrayColumn(map_array(place, f"{self._path}: {name}", texts=True))
        return self._unpacked[name]

    def _unpack(self, member: str, place: Path) -> None:
        try:
            with ZipFile(self._path) as archive:
                require_free_space(self._folder, archive.getinfo(member).file_size)
                with archive.open(member) as packed, place.open("wb") as file:
                    _copy(packed, file, place)
        except ZIP_ERRORS as error:
            reason = " ".join(str(error).split())
            problem = f"{self._path}: {member!r} is truncated or altered ({reason}); write it again"
            raise refusal(error, self._path) or CorruptDataError(problem) from error


def _copy(packed: IO[bytes], file: IO[bytes], place: Path) -> None:
    while block := packed.read(1 << 20):
        with storage_errors(place, "written"):  # the disk of temporary files, not the archive
            file.write(block)
    with storage_errors(place, "written"):
        file.flush()
