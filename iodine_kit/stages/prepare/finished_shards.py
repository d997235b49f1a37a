"""The shards that a preparation has finished: recorded with their hashes, and unchanged when it resumes.

A format may rename the last shard of a split, or replace it by a completed copy, when it finishes the split. So the
last shards are kept as they were written, under a second name, until the data set is complete. A preparation that
resumes in between starts from them again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.stages.prepare.journal import NAME, State
from iodine_kit.store.manifest import file_sha256
from iodine_kit.system import storage_errors, sync_to_disk

_KEPT = f"{NAME}.last-"
"""Beginning of the second name of a last shard."""


class FinishedShards:
    """The finished shards in ``directory``, which ``state`` records."""

    def __init__(self, directory: Path, state: State) -> None:
        self._directory, self._state = directory, state

    def add(self, path: Path) -> None:
        """Record a shard that was just written."""
        self._state.files[path.name] = path.stat().st_size
        self._state.sha256[path.name] = file_sha256(path)

    def keep_last(self) -> None:
        """Keep the last shards under a second name: before the journal says that the format finishes the splits."""
        for name in filter(self._is_last, self._state.files):
            kept = self._directory / f"{_KEPT}{name}"
            kept.unlink(missing_ok=True)  # of an interruption before the journal said so
            _link(self._directory / name, kept)

    def check(self) -> None:
        """Check every finished shard; give the last ones their names again, as they were written.

        Raises:
            ArtifactCorruptError: if a finished shard was changed or removed after the interruption.
        """
        for name in self._state.files:
            path = self._directory / name
            if not self._is_counted(name):
                continue  # interrupted before its scenes left the journal: it is written again
            if self._state.finishing and self._is_last(name):
                if name in self._state.sha256:  # journals of earlier versions have no hashes, and kept no last shards
                    self._restore(path)
            elif not self._is_unchanged(path, name):
                raise _changed(path)

    def _restore(self, path: Path) -> None:
        """Give a last shard its name again, and remove the name that the format gave it."""
        kept = self._directory / f"{_KEPT}{path.name}"
        if not self._is_unchanged(kept, path.name):
            if not self._is_unchanged(path, path.name):
                raise _changed(path)
            kept.unlink(missing_ok=True)
            _link(path, kept)
            return
        for other in self._directory.iterdir():
            if other not in (kept, path) and other.is_file() and other.samefile(kept):
                other.unlink()
        path.unlink(missing_ok=True)
        _link(kept, path)

    def _is_unchanged(self, path: Path, name: str) -> bool:
        """Whether a file has the bytes of the shard ``name``; in journals of earlier versions, only its size."""
        if not path.is_file() or path.stat().st_size != self._state.files[name]:
            return False
        expected = self._state.sha256.get(name)
        with storage_errors(path):
            return expected is None or file_sha256(path) == expected

    def _is_counted(self, name: str) -> bool:
        """Whether the journal counts a shard as finished; it records the hash a little earlier."""
        split, _, number = Path(name).stem.rpartition("-")
        return not number.isdecimal() or int(number) < len(self._state.shards.get(split, ()))

    def _is_last(self, name: str) -> bool:
        """Whether a shard is the last one of its split."""
        split, _, number = Path(name).stem.rpartition("-")
        return not number.isdecimal() or int(number) + 1 >= len(self._state.shards.get(split, ()))


def _changed(path: Path) -> ArtifactCorruptError:
    return ArtifactCorruptError(f"{path}: this finished shard was changed or removed; start again with --overwrite")


def _link(path: Path, name: Path) -> None:
    """Give a file a second name; a copy where the file system has no hard links."""
    try:
        os.link(path, name)
    except OSError:
        with storage_errors(name, "written"):
            shutil.copyfile(path, name)
    sync_to_disk(name)
