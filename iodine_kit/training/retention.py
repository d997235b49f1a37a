"""Which checkpoints are kept, and which one a run goes on from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.training.checkpoint import Checkpoint, decode, encode, write
from iodine_kit.training.files import CHECKPOINTS, checkpoint_name


class Checkpoints:
    """The ``keep`` newest checkpoints in ``directory``."""

    def __init__(self, directory: Path, keep: int) -> None:
        self._directory, self._keep = directory, keep

    @property
    def latest(self) -> str:
        """Name of the newest one; empty if there is none."""
        return next((path.name for path in self._newest_first()), "")

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write the checkpoint after ``step`` steps, then let go of those that are too many."""
        write(self._directory / checkpoint_name(step), encode(checkpoint))
        for path in self._newest_first()[self._keep :]:
            path.unlink()

    def newest(self, note: Callable[[str], None]) -> tuple[bytes, Checkpoint | None]:
        """The newest one that is intact, as bytes and decoded; no bytes if there is none at all.

        A damaged one is told of in a ``note`` and removed, for it would count as the newest ever after.

        Raises:
            ArtifactCorruptError: if all are damaged.
        """
        paths = self._newest_first()
        for place, path in enumerate(paths, 1):
            data = path.read_bytes()
            try:
                return data, decode(data, path)
            except ArtifactCorruptError as error:
                if place == len(paths):
                    raise ArtifactCorruptError(f"{error}; there is no older one: start anew with --overwrite") from None
                note(f"note: {error}; it is removed, and {paths[place].name} taken instead")
                path.unlink()
        return b"", None

    def _newest_first(self) -> list[Path]:
        return sorted(self._directory.glob(CHECKPOINTS), reverse=True)
