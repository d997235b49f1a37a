"""Units of work: parts of a stage that are made independently of each other, each into a file of its own.

A unit is named by its number. Its file is complete as soon as it has its name, ``stem-number-hash.unit``: the hash is
that of its bytes. So an interrupted stage finds what is finished, and a unit whose worker was lost is made again alone.
The files are in the directory of the draft, which all workers have to reach.
"""

from __future__ import annotations

import platform
import socket
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from secrets import token_hex

import iodine_kit
from iodine_kit.engines import ENGINES, EngineConfig, Running
from iodine_kit.errors import ConfigError, IodineKitError, StorageError
from iodine_kit.progress import Reporter, Silent
from iodine_kit.store import file_sha256
from iodine_kit.system import sync_to_disk

Work = Callable[[int, Path], None]
"""Makes the unit of this number: writes its file at this path. Has to be picklable."""
SUFFIX = ".unit"
MOST_LOSSES = 3
"""How often the worker of a unit may be lost."""
_DIGITS = 6
_HASH_DIGITS = 16


@dataclass
class _Task:
    """Consecutive units that are submitted together."""

    numbers: list[int]
    future: Future[list[str]]
    losses: int = 0


def pattern(stem: str) -> str:
    """Pattern of the files of finished units, for :attr:`iodine_kit.runner.Job.state`."""
    return f"{stem}-*{SUFFIX}"


def finished_units(directory: Path, stem: str) -> dict[int, Path]:
    """The files of finished units by number. A file whose bytes do not match its name is deleted."""
    found = {}
    for path in sorted(directory.glob(pattern(stem))):
        number, _, digest = path.name[len(stem) + 1 : -len(SUFFIX)].partition("-")
        if number.isdecimal() and file_sha256(path)[:_HASH_DIGITS] == digest:
            found[int(number)] = path
        else:
            path.unlink()
    return found


def make_units(
    work: Work,
    directory: Path,
    stem: str,
    numbers: Iterable[int],
    engine: EngineConfig,
    reporter: Reporter | None = None,
) -> Iterator[Path]:
    """Yield the file of every unit in the order of ``numbers``; those that are not finished are made.

    The caller may delete a file as soon as it has it. Closing the iterator cancels what is not finished.

    Args:
        stem: begins the names of the files.
        numbers: may be endless; it is read as far as work is submitted.

    Raises:
        StorageError: if the worker of a unit was lost several times, or workers cannot see ``directory``.
        IodineKitError: the first error of a unit, in the order of the numbers.
    """
    finished, rest = finished_units(directory, stem), iter(numbers)
    for number in rest:
        if number not in finished:
            break
        yield finished[number]
    else:
        return
    with ENGINES.load(engine.name).open(engine) as running:
        crew = _Crew(running, work, directory.absolute(), stem, engine, reporter or Silent())
        yield from crew.make(_groups(chain([number], rest), finished, running.units))


def _groups(numbers: Iterable[int], finished: Mapping[int, Path], size: int) -> Iterator[Path | list[int]]:
    """The files of finished units, and between them the numbers of missing ones, up to ``size`` together."""
    group: list[int] = []
    for number in numbers:
        if number not in finished:
            group.append(number)
        if group and (len(group) == size or number in finished):
            yield group
            group = []
        if number in finished:
            yield finished[number]
    if group:
        yield group


class _Crew:
    """The workers of an engine, and the work that they do."""

    def __init__(
        self, running: Running, work: Work, directory: Path, stem: str, engine: EngineConfig, reporter: Reporter
    ) -> None:
        self._running, self._work, self._directory, self._stem = running, work, directory, stem
        self._engine, self._reporter = engine, reporter
        if running.remote:
            self._check_workers()

    def make(self, groups: Iterator[Path | list[int]]) -> Iterator[Path]:
        """Yield the files of units in order, while later ones are being made."""
        waiting: deque[Path | _Task] = deque()
        try:
            while True:
                while sum(isinstance(one, _Task) for one in waiting) < self._running.ahead:
                    group = next(groups, None)
                    if group is None:
                        break
                    waiting.append(group if isinstance(group, Path) else _Task(group, self._submit(group)))
                if not waiting:
                    return
                first = waiting.popleft()
                yield from [first] if isinstance(first, Path) else self._files(first)
        finally:
            for task in waiting:
                if isinstance(task, _Task):
                    task.future.cancel()

    def _submit(self, numbers: list[int]) -> Future[list[str]]:
        make = _make if self._running.in_process else _make_elsewhere
        return self._running.executor.submit(make, self._work, self._directory, self._stem, numbers)

    def _files(self, task: _Task) -> list[Path]:
        """Wait for a task; submit it again if its worker was lost."""
        while True:
            try:
                return [self._directory / name for name in task.future.result()]
            except Exception as error:
                if not self._running.is_lost(error):
                    raise
                task.losses += 1
                if task.losses == MOST_LOSSES:
                    raise StorageError(
                        f"the worker of unit {task.numbers[0]} was lost {MOST_LOSSES} times, possibly because its "
                        "memory was full; run the command again with fewer --workers to resume"
                    ) from error
            self._reporter.note(f"a worker was lost; unit {task.numbers[0]} is made again", routine=True)
            task.future = self._submit(task.numbers)

    def _check_workers(self) -> None:
        """Raise an error in one sentence if workers have other code, or cannot see the files of the store."""
        token = self._directory / f".seen-{token_hex(8)}.tmp"
        token.touch()
        name = f"the workers of the engine '{self._engine.name}'"
        try:
            worker = self._running.executor.submit(_look, token).result()
        except ModuleNotFoundError as error:
            raise ConfigError(f"{name} lack a package ({error}): install iodine-kit there, too") from error
        finally:
            token.unlink(missing_ok=True)
        mine = _versions()
        if worker["versions"] != mine:
            raise ConfigError(f"{name} run {worker['versions']} on {worker['host']}, and this process {mine}")
        if not worker["seen"]:
            raise StorageError(
                f"{name} cannot see {self._directory} on {worker['host']}: choose a store (--store) on a file system "
                "that all machines share"
            )


def _versions() -> str:
    return f"iodine-kit {iodine_kit.__version__} with Python {'.'.join(platform.python_version_tuple()[:2])}"


def _look(token: Path) -> dict[str, object]:
    """What a worker is and sees."""
    return {"versions": _versions(), "host": socket.gethostname(), "seen": token.exists()}


def _make_elsewhere(work: Work, directory: Path, stem: str, numbers: list[int]) -> list[str]:
    """As :func:`_make`, in another process: the exceptions of third-party code may not survive pickling."""
    try:
        return _make(work, directory, stem, numbers)
    except (IodineKitError, OSError, MemoryError):
        raise
    except Exception:
        raise RuntimeError(f"in a worker process:\n{traceback.format_exc()}") from None


def _make(work: Work, directory: Path, stem: str, numbers: list[int]) -> list[str]:
    """Make units, unless an earlier worker finished them before it was lost; returns the names of their files."""
    return [_made(number, directory, stem) or _make_one(work, directory, stem, number) for number in numbers]


def _made(number: int, directory: Path, stem: str) -> str:
    """The file of a finished unit; empty if there is none."""
    for path in directory.glob(f"{stem}-{number:0{_DIGITS}d}-*{SUFFIX}"):
        if file_sha256(path)[:_HASH_DIGITS] == path.name[-len(SUFFIX) - _HASH_DIGITS : -len(SUFFIX)]:
            return path.name
    return ""


def _make_one(work: Work, directory: Path, stem: str, number: int) -> str:
    temporary = directory / f".{stem}-{number:0{_DIGITS}d}-{token_hex(8)}.tmp"
    try:
        work(number, temporary)
        name = f"{stem}-{number:0{_DIGITS}d}-{file_sha256(temporary)[:_HASH_DIGITS]}{SUFFIX}"
        sync_to_disk(temporary)
        temporary.replace(directory / name)
    finally:
        temporary.unlink(missing_ok=True)
    return name
