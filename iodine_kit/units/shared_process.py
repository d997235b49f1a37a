"""The process of a worker, which may serve several commands at the same time: what it keeps open, and where it works.

A worker of a Dask cluster makes a unit in each of its threads, and also runs the tasks of other people.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

KeyT = TypeVar("KeyT")
T = TypeVar("T")


class KeptOpen(Generic[KeyT, T]):
    """What was opened for one unit and serves the next one that needs the same.

    Each thread has its own. What is too large for that is kept once, for one thread at a time.
    """

    def __init__(self, close: Callable[[T], object] = lambda opened: None, *, alone: bool = False) -> None:
        """Keep nothing yet.

        Args:
            close: called with what is no longer needed.
            alone: whether one thread at a time uses what the whole process keeps.
        """
        self._kept: Any = SimpleNamespace() if alone else threading.local()
        self._turn: AbstractContextManager[object] = threading.Lock() if alone else nullcontext()
        self._close = close

    @contextmanager
    def use(self, key: KeyT, open_: Callable[[], T]) -> Iterator[T]:
        """Use what was opened for this key; anything else is closed first, so that only one takes memory."""
        with self._turn:
            last: tuple[KeyT, T] | None = getattr(self._kept, "last", None)
            if last is None or last[0] != key:
                self._drop()
                last = self._kept.last = key, open_()
            yield last[1]

    def close(self) -> None:
        """Close what this thread keeps, or what the process keeps."""
        with self._turn:
            self._drop()

    def _drop(self) -> None:
        last: tuple[KeyT, T] | None = getattr(self._kept, "last", None)
        self._kept.last = None
        if last is not None:
            self._close(last[1])


_condition = threading.Condition()
_place = SimpleNamespace(users=0, folder=Path(), before=None)
"""Where this process works for units, how many of its threads rely on it, and where it was before."""


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work in a folder, at which relative paths begin; afterwards the process is where it was.

    Threads that work in another folder end their units first.

    Raises:
        OSError: if this machine has no such folder, or it must not be entered.
    """
    with _condition:
        _condition.wait_for(lambda: not _place.users or _place.folder == folder)
        if not _place.users:
            _place.before = None
            with suppress(OSError):  # it may have been removed
                _place.before = Path.cwd()
            os.chdir(folder)
            _place.folder = folder
        _place.users += 1
    try:
        yield
    finally:
        with _condition:
            _place.users -= 1
            if not _place.users and _place.before is not None:
                with suppress(OSError):
                    os.chdir(_place.before)
            _condition.notify_all()
