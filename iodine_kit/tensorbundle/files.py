"""The files of a checkpoint: in a folder on disk, or in a folder of a zip archive, which is never extracted.

:func:`locate` finds them from a given path: an index, a prefix, one of the files, or their folder.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Protocol

from iodine_kit.errors import CorruptDataError, SourceError
from iodine_kit.system import refusal, storage_error, storage_errors
from iodine_kit.untrusted import ZIP_ERRORS
from iodine_kit.untrusted.folders import is_data

INDEX = ".index"
STATE = "checkpoint"
"""TensorFlow's file with the name of the latest checkpoint; it is only searched for that name."""
_LONGEST_STATE = 1 << 16
_LATEST = re.compile(rb'^model_checkpoint_path:\s*"([^"\n]*)"', re.M)
_OF_A_CHECKPOINT = re.compile(r"\.index|\.meta|\.data-\d{5}-of-\d{5}")
LARGEST = 1 << 30
"""Largest member of an archive in bytes, because members are kept in memory; IODINE's checkpoints take 1 to 15 MB."""


class Files(Protocol):
    """The files in one folder."""

    def names(self) -> list[str]:
        """Their names, sorted."""

    def place(self, name: str) -> str:
        """Path of a file, for messages."""

    def size(self, name: str) -> int:
        """Number of bytes of a file that :meth:`names` lists."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """``length`` bytes of a file from byte ``offset``, or fewer at its end."""


def _is_data(name: str) -> bool:
    return is_data(name.removesuffix(".index"))  # elsewhere, this suffix is that of files about data


class Folder:
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Names of its files, sorted; raises :class:`SourceError` or :class:`StorageError` if it cannot be listed."""
        try:
            return sorted(entry.name for entry in self.path.iterdir() if _is_data(entry.name) and entry.is_file())
        except FileNotFoundError:
            raise SourceError(f"{self.path}: no such folder; give a checkpoint's .index file or its folder") from None
        except OSError as error:
            raise storage_error(error, self.path) from error

    def place(self, name: str) -> str:
        """Path of a file, for messages."""
        return str(self.path / name)

    def size(self, name: str) -> int:
        """Number of bytes of a file."""
        with storage_errors(self.place(name)):
            return (self.path / name).stat().st_size

    def read(self, name: str, offset: int, length: int) -> bytes:
        """``length`` bytes of a file from byte ``offset``, or fewer at its end."""
        with storage_errors(self.place(name)), (self.path / name).open("rb") as file:
            file.seek(offset)
            return file.read(length)


class ZipFolder:
    """The only folder of a zip archive, at any depth, that has a given name and contains a checkpoint.

    Members are read into memory by their names: no path of the archive becomes a path on disk.

    Raises:
        CorruptDataError: the file is not a zip archive, or a damaged or encrypted one.
        SourceError: the file is missing, or not exactly one folder has this name and contains an index.
    """

    def __init__(self, archive: Path, folder: str) -> None:
        self._archive = archive
        members = [info for info in self._members() if PurePosixPath(info.filename).parent.name == folder]
        parents = sorted({PurePosixPath(i.filename).parent for i in members if i.filename.endswith(".index")})
        if len(parents) != 1:
            problem = "no folder" if not parents else f"{len(parents)} folders"
            raise SourceError(f"{archive}: {problem} '{folder}' with a checkpoint; download the archive again")
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            path = PurePosixPath(info.filename)
            if path.parent == parents[0] and self._infos.setdefault(path.name, info) is not info:
                raise CorruptDataError(f"{archive}: contains '{info.filename}' twice; download the archive again")
        self._read: tuple[str, bytes] = ("", b"")

    def names(self) -> list[str]:
        """Names of its files, sorted."""
        return sorted(self._infos)

    def place(self, name: str) -> str:
        """Path of a file, for messages."""
        inside = self._infos[name].filename if name in self._infos else name
        return f"{self._archive}: {inside}"

    def size(self, name: str) -> int:
        """Number of bytes of a file."""
        return self._infos[name].file_size

    def read(self, name: str, offset: int, length: int) -> bytes:
        """``length`` bytes of a file from byte ``offset``, or fewer at its end."""
        if self._read[0] != name:  # one member is kept, because variables are read in their stored order
            self._read = (name, self._inflate(self._infos[name]))
        return self._read[1][offset : offset + length]

    def _members(self) -> list[zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self._archive) as archive:
                return [info for info in archive.infolist() if not info.is_dir() and _is_data(info.filename)]
        except FileNotFoundError:
            raise SourceError(f"{self._archive}: no such file; check the path given as --source") from None
        except ZIP_ERRORS as error:
            problem = f"{self._archive}: no readable zip archive ({error}); download it again"
            raise refusal(error, self._archive) or CorruptDataError(problem) from error

    def _inflate(self, info: zipfile.ZipInfo) -> bytes:
        place = f"{self._archive}: {info.filename}"
        if info.file_size > LARGEST:
            raise CorruptDataError(f"{place}: states {info.file_size} bytes, too many for a checkpoint of IODINE")
        try:
            with zipfile.ZipFile(self._archive) as archive, archive.open(info) as file:
                return file.read(info.file_size)
        except ZIP_ERRORS as error:
            reason = f"cannot be decompressed ({error}); download the archive again"  # RuntimeError: it is encrypted
            raise refusal(error, place) or CorruptDataError(f"{place}: {reason}") from None


def locate(path: Path) -> tuple[Folder, str]:
    """Return the folder and the prefix of the checkpoint that ``path`` means.

    Raises:
        SourceError: there is none, or a folder has several and does not say which is the latest.
    """
    if path.is_dir():
        return Folder(path), only_prefix(Folder(path), str(path))
    if path.name == STATE and path.is_file():
        return Folder(path.parent), only_prefix(Folder(path.parent), str(path.parent))
    ending = _OF_A_CHECKPOINT.search(path.name)
    prefix = path.name[: ending.start()] if ending and ending.end() == len(path.name) else path.name
    if not path.with_name(prefix + INDEX).is_file():
        if path.is_file() and prefix == path.name:
            raise SourceError(
                f"{path}: not a file of a TensorFlow checkpoint; give its .index file, its prefix or its folder"
            )
        raise SourceError(
            f"{path.with_name(prefix + INDEX)}: no such file; give a checkpoint's .index file or its folder"
        )
    return Folder(path.parent), prefix


def only_prefix(files: Files, place: str) -> str:
    """The prefix of the only checkpoint in a folder, or of the one that TensorFlow recorded as the latest."""
    names = files.names()
    prefixes = [name.removesuffix(INDEX) for name in names if name.endswith(INDEX)]
    if len(prefixes) > 1 and STATE in names and (latest := _latest(files)) in prefixes:
        return latest
    if len(prefixes) == 1:
        return prefixes[0]
    if not prefixes:
        raise SourceError(f"{place}: has no checkpoint of format V2 (no .index file); give a folder that has one")
    listed = ", ".join(prefixes[:4]) + (", …" if len(prefixes) > 4 else "")
    raise SourceError(f"{place}: has {len(prefixes)} checkpoints ({listed}); give the .index file of one")


def _latest(files: Files) -> str:
    """The latest checkpoint according to the state file: only the last part of its path, because folders may move."""
    match = _LATEST.search(files.read(STATE, 0, _LONGEST_STATE))
    return re.split(rb"[/\\]", match[1])[-1].decode("utf-8", "replace") if match else ""
