"""Where checkpoints come from: files on this machine, or DeepMind's archive, downloaded once into the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iodine_kit.errors import SourceError, UnknownNameError, did_you_mean
from iodine_kit.progress import Reporter
from iodine_kit.stages.source import fetch
from iodine_kit.store import Reference, Store
from iodine_kit.tensorbundle import Bundle, ZipFolder, locate, only_prefix

DEEPMIND: Final = "deepmind:"
"""What the name of a released checkpoint begins with."""
ARCHIVE: Final = "https://storage.googleapis.com/deepmind-research-iodine/iodine_checkpoints.zip"
RELEASED: Final = ("clevr6", "multi-dsprites", "tetrominoes")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found.

    Attributes:
        bundle: its variables.
        preset: of the net that it has to be of; "" if that is not known.
        downloads: the artifacts that hold what was downloaded, by role.
    """

    bundle: Bundle
    preset: str
    downloads: dict[str, Reference]


def open_checkpoint(
    name: str, source: str | None, store: Store, reporter: Reporter, *, overwrite: bool = False
) -> Checkpoint:
    """Open the checkpoint that a person named.

    Args:
        name: a path (an index, a prefix or a folder), or ``deepmind:NAME`` for one of :data:`RELEASED`.
        source: the archive of released checkpoints, a file or an address; left out, it is downloaded from DeepMind.
        overwrite: download it again.

    Raises:
        UnknownNameError: DeepMind released no checkpoint of this name.
        SourceError: something is missing, or cannot be downloaded.
        CorruptDataError: the archive or the index is damaged.
    """
    if not name.startswith(DEEPMIND):
        if source is not None:
            raise SourceError(f"--source names the archive of '{DEEPMIND}NAME', and {name} is a path: leave one out")
        return Checkpoint(Bundle(*locate(Path(name))), "", {})
    released = name.removeprefix(DEEPMIND).replace("_", "-")
    if released not in RELEASED:
        raise UnknownNameError(f"no checkpoint is called '{name}'{did_you_mean(released, RELEASED)}")
    if source is not None and "://" not in source and not Path(source).is_file():
        raise SourceError(f"{source}: no such file; give --source the archive iodine_checkpoints.zip or its address")
    fetched = fetch(store, [source or ARCHIVE], reporter, overwrite=overwrite)
    files = ZipFolder(fetched.paths[0], released.replace("-", "_"))
    bundle = Bundle(files, only_prefix(files, f"{fetched.paths[0]}: {released}"))
    return Checkpoint(bundle, f"release-{released}", fetched.downloads)
