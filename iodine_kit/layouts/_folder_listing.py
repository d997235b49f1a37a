"""List the files below folders once: the pictures, what is passed over, where links lead, and lists of splits."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iodine_kit.errors import SchemaError, SourceError
from iodine_kit.layouts._folder_names import list_split
from iodine_kit.system import storage_error
from iodine_kit.untrusted.folders import artifact_kind, is_data, one_form
from iodine_kit.untrusted.pictures import SUFFIXES

_LARGEST = 1 << 26  # bytes; a list of a million pictures has a third of this
_ADVICE = "fix the list, or ignore lists with --set layout.splits=none"


@dataclass(slots=True)
class Picture:
    """A picture of a source.

    Attributes:
        root: the source.
        parts: names of the folders below the source; with several sources, the name of the source comes first.
        name: of the file.
        path: of the file.
        real: its path without links.
        linked: whether a link leads to it.
        start: number of ``parts`` that are names of the source.
    """

    root: Path
    parts: tuple[str, ...]
    name: str
    path: str
    real: str
    linked: bool = False
    start: int = 0

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.rpartition(".")[0]

    @property
    def below(self) -> str:
        """The path that names the picture in messages and keys."""
        return "/".join((*self.parts, self.name))


@dataclass
class Listing:
    """All files below some folders.

    Attributes:
        pictures: in an order that is always the same.
        skipped: numbers of the other files by suffix.
        others: the other files by the parts of their folder.
        links: the links that were followed, by their paths without other links.
        broken: those to nothing, or to a folder that is listed already.
        repeated: number of pictures that are listed again because of links.
        artifacts: number of folders that are artifacts of this package, which are not read.
    """

    pictures: list[Picture] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    others: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    repeated: int = 0
    artifacts: int = 0


def list_sources(roots: Sequence[Path], links: str, prefixes: Sequence[tuple[str, ...]] = ()) -> Listing:
    """List the folders ``roots``; the time is linear in the number of files.

    Args:
        roots: the sources, and folders of masks elsewhere.
        links: ``inside``: links may only lead to places below one of the folders; ``all``: to any place.
        prefixes: for each folder, the names with which ``parts`` of its pictures begin.

    Raises:
        SourceError: a source is no folder, or a link leads outside.
        StorageError: the operating system refuses to list a folder.
    """
    for root in roots:
        if root.is_file():
            problem = "is a file, and pictures are read from a folder; give a folder that has only what you want"
            raise SourceError(f"{root}: {problem}, such as --source {root.parent}")
        if not root.is_dir():
            raise SourceError(f"{root}: no such folder; check the path")
    walk = _Walk([os.path.realpath(root) for root in roots], links)
    for root, prefix in zip(roots, prefixes or [()] * len(roots), strict=True):
        walk.source(root, prefix)
    return walk.listing


class _Walk:
    def __init__(self, bases: Sequence[str], links: str) -> None:
        self.listing = Listing()
        self._bases, self._links = bases, links
        self._entered: set[str] = set()
        self._passed: set[str] = set()

    def source(self, root: Path, prefix: tuple[str, ...]) -> None:
        real = os.path.realpath(root)
        waiting = [(str(root), prefix, real, False)]
        while waiting:
            path, parts, real, linked = waiting.pop()
            if path != str(root) and artifact_kind(path):
                self.listing.artifacts += 1
                continue
            for entry in _entries(path):
                at = os.path.join(real, entry.name)  # noqa: PTH118 - Path objects take ten times as long
                link = entry.is_symlink()
                if link and not (at := self._target(entry, root, at)):
                    continue
                if entry.is_dir():
                    waiting.append((entry.path, (*parts, entry.name), at, linked or link))
                elif entry.is_file():
                    self._file(Picture(root, parts, entry.name, entry.path, at, linked or link, len(prefix)))

    def _file(self, file: Picture) -> None:
        suffix = os.path.splitext(file.name)[1].lower()  # noqa: PTH122 - as above
        if suffix in SUFFIXES:
            self.listing.pictures.append(file)
        else:
            self.listing.skipped[suffix or "without suffix"] += file.real not in self._passed
            self._passed.add(file.real)
            self.listing.others.setdefault(file.parts, []).append(file.name)

    def _target(self, entry: os.DirEntry[str], root: Path, at: str) -> str:
        """Where a link leads; empty if it is not followed."""
        target = os.path.realpath(entry.path)
        is_dir = os.path.isdir(target)  # noqa: PTH112 - as above
        if not is_dir and not os.path.isfile(target):  # noqa: PTH113 - as above
            self.listing.broken.add(at)
            return ""
        if not is_dir and os.path.splitext(entry.name)[1].lower() not in SUFFIXES:  # noqa: PTH122 - as above
            return target
        if self._links == "inside" and not any(is_below(target, base) for base in self._bases):
            raise SourceError(
                f"{entry.path}: is a link to a {'folder' if is_dir else 'file'} outside of {root} ({target}); copy it "
                "there, or follow such links with --set layout.links=all"
            )
        if is_dir and (target in self._entered or is_below(at, target)):
            self.listing.broken.add(at)
            return ""
        if is_dir:
            self._entered.add(target)
        self.listing.links.add(at)
        return target


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as listed:
            return sorted((entry for entry in listed if is_data(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise storage_error(error, path, "listed") from error


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or is inside it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


@dataclass(frozen=True)
class Lists:
    """Lists of pictures.

    Attributes:
        files: the lists that were used.
        splits: the split of each image by its ``id``.
    """

    files: tuple[Path, ...]
    splits: dict[int, str]


def find_lists(roots: Sequence[Path], listing: Listing, images: Sequence[Picture]) -> Lists | None:
    """The lists below the only source that name its images; ``None`` if there are none.

    Raises:
        SchemaError: a list names pictures that are not here, or two lists name the same one.
        StorageError: the operating system refuses to read a list.
    """
    folders = {parts: _list_names(names) for parts, names in listing.others.items()}
    found = sorted(
        (parts for parts, names in folders.items() if names),
        key=lambda parts: (not parts or parts[-1].lower() != "segmentation", len(parts), parts),
    )
    if not found or len(roots) > 1:
        return None
    root = roots[0]
    index = _index(images)
    for parts in found:
        lists = _read(root, [root.joinpath(*parts, name) for name in sorted(folders[parts])], index)
        if lists:
            return lists
    for file in (root.joinpath(*parts, name) for parts in found for name in sorted(folders[parts])):
        if lines := _lines(file):
            raise SchemaError(f"{file}: names {lines[0]!r}, and none of its {len(lines)} names is an image: {_ADVICE}")
    return None


def _list_names(names: Sequence[str]) -> list[str]:
    """The names that are those of lists; ``trainval.txt`` is the list of training if ``train.txt`` is not there."""
    lists = [name for name in names if list_split(name)]
    both = [name for name in names if name.lower().rpartition(".")[0] == "trainval" and list_split(name[:5] + name[8:])]
    return lists if "train" in map(list_split, lists) else lists + both


def _read(root: Path, files: Sequence[Path], index: dict[str, list[Picture]]) -> Lists | None:
    splits: dict[int, str] = {}
    used = []
    for file in files:
        lines = _lines(file)
        hits = [_find(line, index) for line in lines]
        if not any(hits):
            continue
        missing = [line for line, hit in zip(lines, hits, strict=True) if hit is None]
        if missing:
            raise SchemaError(
                f"{file}: names {missing[0]!r}, which is no image or more than one below {root}; {len(missing)} of "
                f"{len(lines)} names are like this: {_ADVICE}"
            )
        split = list_split(file.name) or "train"  # trainval
        for hit in filter(None, hits):
            if splits.setdefault(id(hit), split) != split:
                raise SchemaError(f"{file}: names {hit.path}, which is also in the list of another split: {_ADVICE}")
        used.append(file)
    return Lists(tuple(used), splits) if used else None


def _index(images: Sequence[Picture]) -> dict[str, list[Picture]]:
    """The images by every end of their paths below the source, without suffix."""
    index: dict[str, list[Picture]] = defaultdict(list)
    for one in images:
        parts = (*map(one_form, one.parts), one_form(one.stem))
        for start in range(len(parts)):
            index["/".join(parts[start:])].append(one)
    return index


def _find(line: str, index: dict[str, list[Picture]]) -> Picture | None:
    """The image that a line names: the whole line, or its first word; with or without suffix and folders before it."""
    for text in (line, line.split()[0]):
        parts = [part for part in one_form(text).replace("\\", "/").split("/") if part not in ("", ".", "..")]
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            for end in (name, name.rpartition(".")[0]):
                if len(index.get(end, ())) == 1:
                    return index[end][0]
    return None


def _lines(file: Path) -> list[str]:
    try:
        if file.stat().st_size > _LARGEST:
            return []
        text = file.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise storage_error(error, file) from error
    return [line.strip().strip("\"'") for line in text.splitlines() if line.strip()]
