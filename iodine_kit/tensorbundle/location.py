"""Finding a checkpoint from what a person names: its index, its prefix, one of its files, or the folder it lies in."""

from __future__ import annotations

import re
from pathlib import Path

from iodine_kit.errors import SourceError
from iodine_kit.tensorbundle.bundle import INDEX
from iodine_kit.tensorbundle.files import Files, Folder

STATE = "checkpoint"
"""TensorFlow's note beside checkpoints of which one is the latest; text that is only searched for a name."""
_LONGEST_STATE = 1 << 16
_LATEST = re.compile(rb'^model_checkpoint_path:\s*"([^"\n]*)"', re.M)
_OF_A_CHECKPOINT = re.compile(r"\.index|\.meta|\.data-\d{5}-of-\d{5}")


def locate(path: Path) -> tuple[Folder, str]:
    """Return the folder of the checkpoint that ``path`` names, and its prefix.

    Raises:
        SourceError: there is none, or a folder holds several and does not say which is the latest.
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
                f"{path}: no file of a TensorFlow checkpoint; name its .index file, its prefix or its folder"
            )
        raise SourceError(
            f"{path.with_name(prefix + INDEX)}: no such file; name a checkpoint's .index file or its folder"
        )
    return Folder(path.parent), prefix


def only_prefix(files: Files, place: str) -> str:
    """The prefix of the one checkpoint in a folder, or of that which TensorFlow noted as the latest of several."""
    names = files.names()
    prefixes = [name.removesuffix(INDEX) for name in names if name.endswith(INDEX)]
    if len(prefixes) > 1 and STATE in names and (latest := _latest(files)) in prefixes:
        return latest
    if len(prefixes) == 1:
        return prefixes[0]
    if not prefixes:
        raise SourceError(f"{place}: holds no checkpoint of format V2 (no .index file); name the folder of one")
    listed = ", ".join(prefixes[:4]) + (", …" if len(prefixes) > 4 else "")
    raise SourceError(f"{place}: holds {len(prefixes)} checkpoints ({listed}); name the .index file of one")


def _latest(files: Files) -> str:
    """What the state file calls the latest checkpoint: the last part of its path, for folders may have been moved."""
    found = _LATEST.search(files.read(STATE, 0, _LONGEST_STATE))
    return re.split(rb"[/\\]", found[1])[-1].decode("utf-8", "replace") if found else ""
