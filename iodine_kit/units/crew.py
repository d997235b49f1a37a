"""Give units to the workers of an engine, and collect their files in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

from iodine_kit.engines import Running
from iodine_kit.errors import ConfigError, SourceError, StorageError
from iodine_kit.progress import Reporter
from iodine_kit.units.files import find_unit
from iodine_kit.units.versions import versions
from iodine_kit.units.worker import SECONDS_TO_SEE, Order, Outcome, make, make_elsewhere

SECONDS_PER_CHECK = 10.0
"""How often the engine is asked whether it still has workers, while no task ends."""
FARTHEST = 4
"""How many times as many tasks may be in front of the caller as workers have at hand; one slow unit stops no other."""
_TOKENS = ".workers-*.tmp"


@dataclass
class _Task:
    """Consecutive units that are submitted together; it has a future or an outcome.

    The future of a finished task is dropped: Dask would make its units again if the worker that holds the result ends.
    """

    numbers: list[int]
    future: Future[Outcome] | None = None
    outcome: Outcome | None = None
    losses: int = 0
    made: int = 0


_Waiting = deque[Path | _Task]
"""Files and tasks in the order of their units; the caller has not had them yet."""


class Crew:
    """The workers of an engine, and what they are making."""

    def __init__(self, running: Running, order: Order, name: str, reporter: Reporter) -> None:
        self._running, self._order, self._name, self._reporter = running, order, name, reporter
        self._notes: set[str] = set()

    def make(self, numbers: Iterable[int], finished: Mapping[int, Path], count: int) -> Iterator[Path]:
        """Yield the files of units in order, while later ones are being made.

        Args:
            finished: files that exist already, by number.
            count: how many ``numbers`` there are; less if they are endless.
        """
        groups = _groups(numbers, finished, max(1, min(self._running.units, -(-count // self._running.ahead))))
        waiting: _Waiting = deque()
        with self._token():
            try:
                while self._fill(waiting, groups):
                    first = waiting[0]
                    paths = [first] if isinstance(first, Path) else self._wait_for(first, waiting, groups)
                    waiting.popleft()
                    yield from paths
            finally:
                for future in _pending(waiting):
                    future.cancel()

    def _fill(self, waiting: _Waiting, groups: Iterator[Path | list[int]], *, behind: bool = False) -> bool:
        """Submit tasks until no worker has to wait for its next one; returns whether anything is left.

        Args:
            behind: whether all wait for one slow task: then those that ended since do not count, up to a limit,
                because their files take disk space.
        """
        most = self._running.ahead
        while True:
            tasks = [one for one in waiting if isinstance(one, _Task)]
            running = sum(one.outcome is None for one in tasks) if behind else len(tasks)
            if running >= most or len(tasks) >= FARTHEST * most:
                break
            group = next(groups, None)
            if group is None:
                break
            waiting.append(group if isinstance(group, Path) else self._submit(_Task(group)))
        return bool(waiting)

    def _submit(self, task: _Task) -> _Task:
        again = task.losses > 0 or self._running.remote  # a remote scheduler may run a task twice
        function = make if self._running.in_process else make_elsewhere
        try:
            task.future = self._running.executor.submit(function, self._order, task.numbers, again)
        except Exception as error:
            task.outcome = Outcome(error=self._explained(error))
        return task

    def _wait_for(self, first: _Task, waiting: _Waiting, groups: Iterator[Path | list[int]]) -> list[Path]:
        """The files of the first task. Meanwhile later ones are submitted, and lost ones again."""
        while first.outcome is None:
            pending = _pending(waiting)
            done, _ = wait(pending, SECONDS_PER_CHECK, FIRST_COMPLETED)
            if not done:
                self._running.check()
            for future in done:
                self._collect(pending[future], future)
            if first.outcome is None:
                self._fill(waiting, groups, behind=True)
        if first.outcome.error is not None:
            raise first.outcome.error
        return [self._visible(self._order.directory / name) for name in first.outcome.names]

    def _collect(self, task: _Task, future: Future[Outcome]) -> None:
        """Keep the outcome of a task that ended; submit it again if its worker was lost."""
        task.future = None
        try:
            task.outcome = future.result()
            if task.outcome.note and task.outcome.note not in self._notes:
                self._notes.add(task.outcome.note)
                self._reporter.note(task.outcome.note)
        except CancelledError:
            task.outcome = Outcome(error=SourceError(_connection_lost(self._name)))
        except Exception as error:
            if not self._running.is_lost(error):
                task.outcome = Outcome(error=self._explained(error))
            elif self._may_try_again(task):
                self._submit(task)

    def _may_try_again(self, task: _Task) -> bool:
        """Count the loss of a worker; it counts for little if it had finished some units."""
        made = sum(bool(find_unit(self._order.directory, self._order.stem, number)) for number in task.numbers)
        task.losses = 1 if made > task.made else task.losses + 1
        task.made = made
        unit = f"unit {task.numbers[0]}" if len(task.numbers) == 1 else f"units {task.numbers[0]}–{task.numbers[-1]}"
        if task.losses < self._running.tries:
            self._reporter.note(f"a worker was lost; {unit} will be made again", routine=True)
            return True
        times = f"{task.losses} times" if task.losses > 1 else "too often"
        task.outcome = Outcome(error=StorageError(f"the worker of {unit} was lost {times}, {self._running.remedy}"))
        return False

    def _explained(self, error: Exception) -> Exception:
        """An error of the engine as one sentence, if it is a usual one."""
        if self._running.is_disconnected(error):
            return SourceError(_connection_lost(self._name))
        texts = []
        cause: BaseException | None = error
        while cause is not None:
            texts += str(cause).splitlines()
            cause = cause.__cause__ or cause.__context__
        for text in texts:
            if "No module named" in text or "Can't get attribute" in text:
                return ConfigError(
                    f"a worker of the engine '{self._name}' cannot import the code ({text.strip()}): install the same "
                    "version of iodine-kit there, and start the workers again"
                )
        return error

    def _visible(self, path: Path) -> Path:
        """A file that another machine wrote, as soon as this machine sees it."""
        deadline = time.monotonic() + SECONDS_TO_SEE
        while self._running.remote and not path.exists():
            if time.monotonic() >= deadline:
                raise StorageError(
                    f"{path}: a worker wrote this file, but this machine does not see it: check that all machines "
                    "share this file system"
                )
            time.sleep(0.1)
        return path

    @contextmanager
    def _token(self) -> Iterator[None]:
        """The file that shows remote workers that they see the store, and that their work is still wanted."""
        if not self._running.remote:
            yield
            return
        for old in self._order.directory.glob(_TOKENS):  # its owner was killed, and its workers must stop
            old.unlink(missing_ok=True)
        token = self._order.directory / _TOKENS.replace("*", token_hex(8))
        token.touch()
        self._order = replace(self._order, token=token, versions=versions())
        try:
            yield
        finally:
            token.unlink(missing_ok=True)


def _pending(waiting: _Waiting) -> dict[Future[Outcome], _Task]:
    return {one.future: one for one in waiting if isinstance(one, _Task) and one.future is not None}


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


def _connection_lost(name: str) -> str:
    return (
        f"the connection to the cluster of the engine '{name}' was lost: check that its scheduler runs, then run the "
        "command again to resume"
    )
