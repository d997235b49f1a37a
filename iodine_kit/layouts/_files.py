"""Which files a given path means, and which split their names mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from iodine_kit.errors import SourceError

SPLITS = ("train", "val", "test")
"""Names of published splits, in their order."""

_SPLIT_NAME = re.compile(r"(train|val|test)(ing|idation)?(?![a-z])")


def files_below(paths: Sequence[Path], pattern: str) -> list[Path]:
    """Each given file, and of each folder all files below it with names that match ``pattern``, sorted, none hidden.

    Raises:
        SourceError: a path does not exist, or a folder has no such file.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob(pattern) if file.is_file() and not is_hidden(file, path))
            if not inside:
                raise SourceError(f"{path}: this folder has no file {pattern}; give the folder that has")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise SourceError(f"{path}: no such file; check the path")
    return files


def is_hidden(file: Path, root: Path) -> bool:
    """Whether a part of the path below ``root`` starts with a dot: a file that a tool left, not data."""
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def split_name(name: str) -> str:
    """The split that a name starts with (``training_images.npy``, ``validation``): one of :data:`SPLITS`, or ""."""
    match = _SPLIT_NAME.match(name.lower())
    return match[1] if match else ""
