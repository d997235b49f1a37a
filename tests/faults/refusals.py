"""The system refuses file operations of a command: the disk is full, or a permission is lost midway."""

from __future__ import annotations

import errno
import random
from pathlib import Path

from faults.forked_commands import ALL, SPACE, Ended, Fault
from faults.kills import look, repeat
from faults.losses import Losses
from faults.stage_commands import StageCommand, StageCommands, contents, has_traceback, snapshot

from iodine_kit.errors import StorageError

ERRORS = {
    "disk full": (errno.ENOSPC, SPACE),
    "quota used up": (errno.EDQUOT, SPACE),
    "disk fails": (errno.EIO, SPACE),
    "permission lost": (errno.EACCES, ALL),
    "disk becomes read-only": (errno.EROFS, ALL),
}
"""Name of a trouble → the error of the system, and the operations that it refuses."""


def refuse(
    stages: StageCommands, one: StageCommand, trouble: str, draw: random.Random, scratch: Path, losses: Losses
) -> None:
    """Refuse all operations from a random one on, or one in three times only this one; then repeat the command."""
    folder = stages.copy(scratch / "refused", one)
    before = snapshot(folder)
    error, classes = ERRORS[trouble]
    at = draw.randint(1, one.events if classes == ALL else max(1, one.events * 2 // 3))
    fault = Fault("refuse", at, error, once=draw.random() < 1 / 3, torn=draw.random() < 0.5, classes=classes)
    ended = stages.commands.run(*one.arguments, folder=folder, fault=fault)
    losses.tried += 1
    place = f"{one.name}, {trouble} at operation {at}{' once' * fault.once}{' torn' * fault.torn}"
    if ended.status == 0:  # it had done its work, or could do without this operation
        losses.require(contents(folder, one.made) == one.content, f"{place}: ends with 0 and another content")
    else:
        require_sentence(ended, StorageError.exit_status, place, losses)
    look(stages, one, folder, before, place, losses)
    repeat(stages, one, folder, [], place, losses)


def require_sentence(ended: Ended, status: int, place: str, losses: Losses) -> None:
    """Note a loss unless a command ended with this status and one sentence."""
    right = ended.status == status and ended.err.count("error: ") == 1 and not has_traceback(ended)
    losses.require(right, f"{place}: ends with {ended.status}: {ended.err}")
