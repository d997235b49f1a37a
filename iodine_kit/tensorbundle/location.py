"""Find a checkpoint from a given path: its index, its prefix, one of its files, or its folder."""

from __future__ import annotations

import re
from pathlib import Path

from iodine_kit.errors import SourceError
from iodine_kit.tensorbundle.bundle import INDEX
from iodine_kit.tensorbundle.files import Files, Folder

STATE = "checkpoint"
"""TensorFlow's file with the name of the latest checkpoint; it is only searched for that name."""
_LONGEST_STATE = 1 << 16
_LATEST = re.compile(rb'^model_checkpoint_path:\s*"([^"\n]*)"', re.M)
_OF_A_CHECKPOINT = re.compile(r"\.index|\.meta|\.data-\d{5}-of-\d{5}")


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
