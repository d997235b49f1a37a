"""Which files a person means by the paths they give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iodine_kit.errors import SourceError


def files_below(paths: Sequence[Path], pattern: str) -> list[Path]:
    """Files as they are given; of a folder the files whose names fit ``pattern``, anywhere below it, sorted.

    Raises:
        SourceError: if a path does not exist, or a folder has no such file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob(pattern) if file.is_file() and not _hidden(file, path))
            if not inside:
                raise SourceError(f"{path}: this folder has no file called {pattern}; give the one that has")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise SourceError(f"{path}: no such file; check the path")
    return found


def _hidden(file: Path, root: Path) -> bool:
    """Whether a part of the path below ``root`` starts with a dot: not data, but what tools leave behind."""
    return any(part.startswith(".") for part in file.relative_to(root).parts)
