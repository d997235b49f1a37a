"""Several files at the same time: a bounded number of threads, one progress, and a stop that all of them see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from threading import Event, Lock
from typing import Any, TypeVar

from iodine_kit.formatting import byte_size, counted
from iodine_kit.progress import Advance

T = TypeVar("T")
JOBS = 8
"""Files at the same time, if the user gives no number."""


@dataclass
class Transferred:
    """What a command moved, and what was there already.

    Attributes:
        artifacts: the directories of all artifacts, inputs first, as ``kind/name-key12``.
        files, bytes: were sent or fetched.
        files_there, bytes_there: were there already.
    """

    artifacts: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    files_there: int = 0
    bytes_there: int = 0

    def count(self, files: int, size: int, there: bool) -> None:
        """Count files of a size in bytes; ``there``: nothing had to be transferred."""
        if there:
            self.files_there, self.bytes_there = self.files_there + files, self.bytes_there + size
        else:
            self.files, self.bytes = self.files + files, self.bytes + size

    def as_json(self) -> dict[str, Any]:
        """The counts by name."""
        return asdict(self)

    def sentence(self, verb: str) -> str:
        """A summary, such as ``2 artifacts: sent 3 files (2.1 MB); there already: 5 files (1.0 GB)``."""
        moved = f"{verb} {counted(self.files, 'file')} ({byte_size(self.bytes)})"
        there = f"{counted(self.files_there, 'file')} ({byte_size(self.bytes_there)})"
        return f"{counted(len(self.artifacts), 'artifact')}: {moved}; there already: {there}"


class Stopped(Exception):  # noqa: N818 - not an error: another transfer failed, or the user interrupted
    """Raised inside a transfer that shall end."""


class Pool:
    """Threads that transfer files."""

    def __init__(self, jobs: int, advance: Advance) -> None:
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="transfer")
        self._advance, self._lock, self._stop = advance, Lock(), Event()

    def advance(self, count: int) -> None:
        """Count bytes; raises :class:`Stopped` if the transfer shall end."""
        if self._stop.is_set():
            raise Stopped
        with self._lock:
            self._advance(count)

    def map(self, work: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
        """The results of ``work`` in order; after the first error, everything else is stopped and it is raised."""
        futures = [self._threads.submit(work, item) for item in items]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        if failed := _first_error(done):
            raise failed
        return [future.result() for future in futures]

    def close(self) -> None:
        """Stop all transfers and wait until they have ended."""
        self._stop.set()
        self._threads.shutdown(wait=True, cancel_futures=True)


def _first_error(done: Iterable[Future[Any]]) -> BaseException | None:
    errors = [error for future in done if (error := future.exception()) is not None]
    return next((error for error in errors if not isinstance(error, Stopped)), errors[0] if errors else None)


@contextmanager
def pool(jobs: int, advance: Advance) -> Iterator[Pool]:
    """Threads while the context is open."""
    threads = Pool(max(1, jobs), advance)
    try:
        yield threads
    finally:
        threads.close()
