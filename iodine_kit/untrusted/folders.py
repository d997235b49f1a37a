"""Folders of unknown origin: which files are data, in which order, and when two names are the same name.

Readers list files with this module, so that the same folder gives the same records in the same order everywhere.
The layout ``folder`` has a walk of its own, because it follows links and counts what it passes over.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from iodine_kit.errors import IodineKitError, SourceError, StorageError
from iodine_kit.system import storage_error

Order = tuple[Any, ...]
"""What :func:`natural_order` returns: comparable with others of its kind."""

_LEFT_BEHIND = (
    *("__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("lost+found", "@eadir", "@tmp", "#recycle", "#snapshot", "__pycache__"),
    *("paxheader", "pax_global_header", "@longlink"),
)
"""Files and folders that systems and archive tools leave, in lower case."""
_SUFFIXES = (
    *(".part", ".partial", ".crdownload", ".download", ".opdownload", ".aria2", ".gstmp", ".tmp", ".temp"),
    *(".swp", ".swo", ".bak", ".orig", ".lock"),
    *(".idx", ".index", ".md5", ".sha1", ".sha256", ".sha512", ".md5sum", ".sha1sum", ".sha256sum", ".sha512sum"),
    *(".crc", ".crc32", ".crc32c", ".asc", ".sig", ":zone.identifier", "~"),
)
"""Ends of names of unfinished files, backups, and files about other files, in lower case."""
ARTIFACT = "iodine-kit/artifact/"
"""The beginning of the schema of a manifest, by which folders of artifacts are recognised."""
_HEAD = 1 << 12
_PAX = re.compile(r"paxheaders(\.\d+)?")
_KIND = re.compile(r'"kind": "([a-z-]+)"')
_DIGITS = re.compile(r"(\d+)")
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def is_data(name: PurePath | str) -> bool:
    """Whether a name can be data: no part of it is hidden, or is what a system or another program leaves behind.

    No data are: names that start with a dot (``._a.png``, ``.DS_Store``, ``.ipynb_checkpoints``), folders of systems
    (``__MACOSX``, ``@eaDir``, ``lost+found``), ``Thumbs.db``, ``desktop.ini``, backups and unfinished copies
    (``a~``, ``a.part``, ``a.tmp``, ``a_.gstmp``), files beside data (``a.idx``, ``a.md5``), and headers of tar.

    Args:
        name: of a file or folder, a path below the folder that was listed, or the name of a member of an archive.
    """
    parts = name.parts if isinstance(name, PurePath) else PurePosixPath(name).parts
    return all(_is_data(part) for part in parts if part != "..")


def artifact_kind(folder: Path | str) -> str:
    """The kind of the artifact of this package in a folder, such as ``dataset``; "" if there is none.

    Data files are not looked for in artifacts: they are results, such as a contact sheet, and no pictures to prepare.
    Downloaded files are published data, so that their folders do not count.
    """
    try:
        with Path(folder, "manifest.json").open("rb") as file:
            head = file.read(_HEAD).decode(errors="replace")
    except OSError:
        return ""
    kind = _KIND.search(head) if ARTIFACT in head else None
    return kind[1] if kind and kind[1] != "download" else ""


def one_form(name: str) -> str:
    """The Unicode form in which names are compared, NFC: systems differ in how they write an accent."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def printable(name: str) -> str:
    """A name in the form of :func:`one_form`, with ``%0A`` or similar for what no text file or terminal can show.

    These are control characters, also those of the direction of writing, and bytes that are no text, which Python reads
    as surrogates.
    """
    return _UNFIT.sub(_escaped, one_form(name))


def natural_order(name: PurePath | str) -> Order:
    """A sort key for paths and scene keys: part by part, numbers by value, letters of both cases as the same letter.

    ``2.png`` comes before ``10.png``, and ``a.png`` before ``a 2.png``. Names that are equal in this sense are in the
    order of their characters, so that the order is always the same.
    """
    parts = name.parts if isinstance(name, PurePath) else name.split("/")
    return tuple(_part_order(part) for part in parts)


def in_order(files: Iterable[Path]) -> list[Path]:
    """Files in natural order."""
    return sorted(files, key=natural_order)


def as_spelled(path: Path) -> Path:
    """A path as the disk spells it, if it is there in another Unicode form, and only once; otherwise the same path."""
    if path.exists() or str(path).isascii():
        return path
    parent = as_spelled(path.parent)
    if not parent.is_dir():
        return path
    wanted = one_form(path.name)
    same = [name for name in os.listdir(parent) if one_form(name) == wanted]  # noqa: PTH208 - names, not paths
    return parent / same[0] if len(same) == 1 else path


def walk(root: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """Data files below a folder, in natural order, each folder read once.

    Links to folders are not followed, and artifacts of this package below the folder are not read.

    Args:
        root: the folder; a leftover's name does not matter here, because the user gave it.
        wanted: whether a file with this name is listed. Links to files are listed like files, also those that lead to
            nothing: the reader says so.

    Raises:
        StorageError: the operating system refuses to list a folder.
    """
    for entry in _entries(root):
        kind, path = _kind(entry), root / entry.name
        if kind == "folder" and not artifact_kind(path):
            yield from walk(path, wanted)
        elif kind == "file" and wanted(entry.name):
            yield path


def files_below(paths: Sequence[Path], pattern: str) -> list[Path]:
    """Each given file, and of each folder all data files below it whose names match ``pattern``, in natural order.

    Case does not matter. Links to folders are not followed.

    Raises:
        SourceError: a path does not exist, a folder has no such file, or one is a link to nothing.
        StorageError: the operating system refuses to list a folder.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = list(walk(path, _matching(pattern)))
            refuse_dangling_links(inside)
            if not inside:
                raise SourceError(f"{path}: this folder has no file {pattern}; give the folder that has")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise SourceError(f"{path}: no such file; check the path")
    return files


def any_below(root: Path, pattern: str, test: Callable[[Path], bool] = lambda _: True) -> bool:
    """Whether a path passes a test or, if it is a folder, whether a file that :func:`files_below` lists does.

    Raises:
        StorageError: the operating system refuses to read one of them.
    """
    if not root.is_dir():
        return _passes(root, test)
    nowhere = False  # a link to nothing counts if there is nothing else: its error is better than one about the layout
    for file in walk(root, _matching(pattern)):
        if _passes(file, test):
            return True
        nowhere = nowhere or _leads_nowhere(file)
    return nowhere


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The data files directly in a folder whose names match ``pattern``, as :func:`files_below` matches them."""
    wanted = _matching(pattern)
    return [folder / entry.name for entry in _entries(folder) if _kind(entry) == "file" and wanted(entry.name)]


def refuse_dangling_links(files: Iterable[Path]) -> None:
    """Raise :class:`SourceError` if a listed file is a link to a file that does not exist."""
    for file in files:
        if _leads_nowhere(file):
            problem = "is a link to a file that does not exist; fetch that file, or remove the link"
            raise SourceError(f"{file}: {problem}")


def scene_keys(names: Sequence[PurePath]) -> list[str]:
    """Keys of scenes from the paths of their pictures below their source, such as ``cats/frame_12``; all different.

    A key is the :func:`printable` path without suffix. Paths that differ only in their suffix keep it; if this is not
    enough, ``~2``, ``~3``, … follow.
    """
    keys = [printable(name.with_suffix("").as_posix()) for name in names]
    times = Counter(keys)
    keys = [printable(name.as_posix()) if times[key] > 1 else key for name, key in zip(names, keys, strict=True)]
    taken, found = set(keys), Counter[str]()
    for place, key in enumerate(keys):
        found[key] += 1
        if found[key] > 1:
            number = next(n for n in range(found[key], len(keys) + 2) if f"{key}~{n}" not in taken)
            keys[place] = f"{key}~{number}"
            taken.add(keys[place])
    return keys


def _leads_nowhere(file: Path) -> bool:
    return file.is_symlink() and not file.exists()


def _matching(pattern: str) -> Callable[[str], bool]:
    return lambda name: fnmatchcase(name.lower(), pattern.lower())


def _passes(file: Path, test: Callable[[Path], bool]) -> bool:
    try:
        return file.is_file() and test(file)
    except StorageError:
        raise
    except IodineKitError:
        return False


def _is_data(part: str) -> bool:
    low = part.lower()
    return not (low.startswith((".", "~$")) or low.endswith(_SUFFIXES) or low in _LEFT_BEHIND or _PAX.fullmatch(low))


def _part_order(part: str) -> Order:
    form = one_form(part)
    stem, suffix = os.path.splitext(form.casefold())  # noqa: PTH122 - a suffix of any text, also of a key
    return _tokens(stem), _tokens(suffix), form, part


def _tokens(text: str) -> Order:
    # Texts are at even places and digits at odd ones, so that a text is never compared with a number.
    return tuple(_value(one) if place % 2 else one for place, one in enumerate(_DIGITS.split(text)))


def _value(digits: str) -> tuple[int, str]:
    """Comparable like the number, of any length and in the digits of any script."""
    if not digits.isascii():
        digits = "".join(str(unicodedata.decimal(digit)) for digit in digits)
    digits = digits.lstrip("0")
    return len(digits), digits


def _escaped(unfit: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in unfit[0].encode("utf-8", "surrogateescape"))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listed:
            entries = [entry for entry in listed if _is_data(entry.name)]
    except OSError as error:
        raise storage_error(error, folder, "listed") from error
    return sorted(entries, key=lambda entry: _part_order(entry.name))


def _kind(entry: os.DirEntry[str]) -> str:
    """A file, a folder, a link to a folder, or something that must not be opened, such as a pipe."""
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        return "file" if entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()) else "other"
    except OSError:  # a link that leads to itself
        return "file"
