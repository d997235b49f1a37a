"""Locks of a store: one per artifact that is being made, and one that drafts and the removal of artifacts share."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from iodine_kit.errors import ResumeError

LOCKS = ".locks"
"""Folder of the files that are locked, in the store."""
STORE_LOCK = "store.lock"
LONGEST_WAIT = 60.0
"""Seconds to wait for a lock that other processes hold for a moment only."""
GRACE = 0.5
"""Seconds to wait for the lock of an artifact: others hold it for a moment to ask, or much longer to work."""
SECONDS_PER_TRY = 0.02


def lock_name(directory: Path) -> str:
    """The name of the lock of an artifact, given its directory."""
    return f"{directory.parent.name}__{directory.name}.lock"  # no kind contains "_"


@contextmanager
def locked(directory: Path, doing: str = "making this artifact") -> Iterator[None]:
    """Hold the lock of an artifact while it is made or removed.

    Args:
        directory: the one that the finished artifact has or will have.
        doing: what the error says about the other process.

    Raises:
        ResumeError: if another process holds it.
    """
    with _hold(directory.parents[1], lock_name(directory), GRACE, f"{directory}: another process is {doing}"):
        yield


def is_locked(directory: Path) -> bool:
    """Whether another process is making an artifact; also true if the system refuses to answer."""
    return is_held(directory.parents[1] / LOCKS / lock_name(directory))


def is_held(lock: Path) -> bool:
    """Whether another process holds a lock, given its file; also true if the system refuses to answer."""
    if not lock.exists():
        return False  # also in a store that cannot be written
    try:
        with lock.open("rb") as file:  # a shared lock: processes that ask at the same time do not disturb each other
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False  # it was removed meanwhile
    except OSError:
        return True
    return False


@contextmanager
def gate(root: Path) -> Iterator[None]:
    """Hold the lock of the whole store, for a moment: while a draft begins, or while artifacts are removed.

    A draft names its inputs before it reads them. Because it does so inside the gate, whoever removes artifacts inside
    the gate sees what is needed.

    Raises:
        ResumeError: if others hold it for too long.
    """
    with _hold(root, STORE_LOCK, LONGEST_WAIT, f"{root}: another process is changing the store"):
        yield


@contextmanager
def _hold(root: Path, name: str, seconds: float, problem: str) -> Iterator[None]:
    folder = root / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=seconds, poll_interval=SECONDS_PER_TRY)
    except Timeout:
        raise ResumeError(f"{problem}; wait until it ends") from None
    try:
        yield
    finally:
        lock.release()
