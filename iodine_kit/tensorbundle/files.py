"""The files of a checkpoint: those of a folder on disk, or of a folder inside a zip archive that is never extracted."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from iodine_kit.errors import CorruptDataError, SourceError, StorageError

LARGEST = 1 << 30
"""Bytes of a member of an archive that are held in memory at most; IODINE's checkpoints take 1 to 15 MB."""


class Files(Protocol):
    """The files that lie beside each other in one folder."""

    def names(self) -> list[str]:
        """Their names, sorted."""

    def place(self, name: str) -> str:
        """Where a file lies, for messages."""

    def size(self, name: str) -> int:
        """Bytes of a file that :meth:`names` lists."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """``length`` bytes of a file from byte ``offset``; fewer if it ends before."""


class Folder:
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self.path.iterdir() if entry.is_file())
        except FileNotFoundError:
            raise SourceError(f"{self.path}: no such folder; name a checkpoint's .index file or its folder") from None
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be read ({error.strerror}); check its permissions") from error

    def place(self, name: str) -> str:
        return str(self.path / name)

    def size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def read(self, name: str, offset: int, length: int) -> bytes:
        try:
            with (self.path / name).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise StorageError(f"{self.place(name)}: cannot be read ({error.strerror}); check the disk") from error


class ZipFolder:
    """The one folder of a zip archive that has a given name and holds a checkpoint, wherever in the archive it lies.

    Members are read into memory by their names alone: no path of the archive ever becomes a path on disk.

    Raises:
        CorruptDataError: the file is no zip archive, or a damaged or encrypted one.
        SourceError: the file is missing, or no folder, or more than one, is called so and holds an index.
    """

    def __init__(self, archive: Path, folder: str) -> None:
        self._archive = archive
        found = [info for info in self._members() if PurePosixPath(info.filename).parent.name == folder]
        parents = sorted({PurePosixPath(i.filename).parent for i in found if i.filename.endswith(".index")})
        if len(parents) != 1:
            problem = "no folder" if not parents else f"{len(parents)} folders"
            raise SourceError(f"{archive}: {problem} '{folder}' with a checkpoint in it; fetch the archive again")
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in found:
            path = PurePosixPath(info.filename)
            if path.parent == parents[0] and self._infos.setdefault(path.name, info) is not info:
                raise CorruptDataError(f"{archive}: holds '{info.filename}' twice; fetch the archive again")
        self._read: tuple[str, bytes] = ("", b"")

    def names(self) -> list[str]:
        return sorted(self._infos)

    def place(self, name: str) -> str:
        inside = self._infos[name].filename if name in self._infos else name
        return f"{self._archive}: {inside}"

    def size(self, name: str) -> int:
        return self._infos[name].file_size

    def read(self, name: str, offset: int, length: int) -> bytes:
        if self._read[0] != name:  # one member is kept, because variables are read in the order in which they lie
            self._read = (name, self._inflate(self._infos[name]))
        return self._read[1][offset : offset + length]

    def _members(self) -> list[zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self._archive) as archive:
                return [info for info in archive.infolist() if not info.is_dir()]
        except FileNotFoundError:
            raise SourceError(f"{self._archive}: no such file; check the path given as --source") from None
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            reason = f"not a zip archive that can be read ({error})"
            raise CorruptDataError(f"{self._archive}: {reason}; fetch it again") from None
        except OSError as error:
            raise StorageError(f"{self._archive}: cannot be read ({error.strerror or error})") from error

    def _inflate(self, info: zipfile.ZipInfo) -> bytes:
        place = f"{self._archive}: {info.filename}"
        if info.file_size > LARGEST:
            raise CorruptDataError(f"{place} says it has {info.file_size} bytes, more than a checkpoint of IODINE can")
        try:
            with zipfile.ZipFile(self._archive) as archive, archive.open(info) as file:
                return file.read(info.file_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
            reason = f"cannot be inflated ({error}); fetch the archive again"  # RuntimeError: it is encrypted
            raise CorruptDataError(f"{place} {reason}") from None
