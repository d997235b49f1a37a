"""The files of units: written under a temporary name, renamed when complete, recognised by their hash."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from iodine_kit.store import file_sha256
from iodine_kit.system import sync_to_disk

Work = Callable[[int, Path], None]
"""Makes the unit of this number: writes its file at this path. Has to be picklable."""
SUFFIX = ".unit"
DIGITS = 6
HASH_DIGITS = 16


def pattern(stem: str) -> str:
    """Pattern of the files of finished units, for :attr:`iodine_kit.runner.Job.state`."""
    return f"{stem}-*{SUFFIX}"


def finished_units(directory: Path, stem: str) -> dict[int, Path]:
    """The files of finished units by number. A file whose bytes do not match its name is deleted."""
    name = re.compile(rf"{re.escape(stem)}-(\d{{{DIGITS},}})-[0-9a-f]{{{HASH_DIGITS}}}{re.escape(SUFFIX)}")
    matches = {path: name.fullmatch(path.name) for path in sorted(directory.glob(pattern(stem)))}
    found: dict[int, Path] = {}
    for path, match in matches.items():
        if match is None:  # of another stem, such as the "a-b" of "a"
            continue
        if _is_intact(path):
            found.setdefault(int(match[1]), path)
        else:
            path.unlink(missing_ok=True)
    return found


def find_unit(directory: Path, stem: str, number: int) -> str:
    """The name of the intact file of a unit; empty if there is none."""
    paths = sorted(directory.glob(f"{stem}-{number:0{DIGITS}d}-{'?' * HASH_DIGITS}{SUFFIX}"))
    return next((path.name for path in paths if _is_intact(path)), "")


def make_unit(
    work: Work, directory: Path, stem: str, number: int, before_renaming: Callable[[], None] = lambda: None
) -> str:
    """Make one unit in this process; returns the name of its file.

    Args:
        before_renaming: called when the unit is complete; if it raises, no file is left.
    """
    begin = f"{stem}-{number:0{DIGITS}d}"
    for abandoned in directory.glob(f".{begin}-*.tmp"):  # of a worker that was lost
        abandoned.unlink(missing_ok=True)
    temporary = directory / f".{begin}-{token_hex(8)}.tmp"
    try:
        work(number, temporary)
        name = f"{begin}-{file_sha256(temporary)[:HASH_DIGITS]}{SUFFIX}"
        sync_to_disk(temporary)
        before_renaming()
        temporary.replace(directory / name)
    finally:
        temporary.unlink(missing_ok=True)
    return name


def _is_intact(path: Path) -> bool:
    digest = path.name[-len(SUFFIX) - HASH_DIGITS : -len(SUFFIX)]
    return file_sha256(path)[:HASH_DIGITS] == digest
