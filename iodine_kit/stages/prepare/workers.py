"""Work on records in this process or in several; results always come in the order of the records."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.synchronize import Event
from time import perf_counter

from iodine_kit.datasets import THREADS
from iodine_kit.errors import IodineKitError, StorageError
from iodine_kit.layouts import Item
from iodine_kit.stages.prepare.process_record import Outcome, Recipe

TASK_SECONDS = 0.2
"""A task should take so long: little is lost with it, and sending it costs little."""
LARGEST_TASK = 64
AHEAD = 3
"""Tasks per worker that may wait: bounds memory, whatever the length of the source."""

Numbered = tuple[int, Item]
Done = tuple[list[Outcome], float]
"""Outcomes of a task, and the seconds it took."""


def carried_out(recipe: Recipe, items: Iterable[Numbered], workers: int) -> Iterator[Outcome]:
    """The outcome of every record, in order."""
    if workers == 1:
        return (recipe.carry_out(record, item) for record, item in items)
    return _in_processes(recipe, iter(items), workers)


def _in_processes(recipe: Recipe, items: Iterator[Numbered], workers: int) -> Iterator[Outcome]:
    # Spawned, not forked: a fork would copy the locks of the threads that show progress.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start, (recipe, workers, stop))
    waiting: deque[Future[Done]] = deque()
    size, begun = 1, False
    try:
        while batch := list(islice(items, size)):
            with _interruptions_later():
                waiting.append(pool.submit(_carry_out, batch))
            if len(waiting) > AHEAD * workers:
                outcomes, seconds = waiting.popleft().result()
                yield from outcomes
                size, begun = _task_size(len(outcomes), seconds), True
        while waiting:
            yield from waiting.popleft().result()[0]
    except BrokenProcessPool as error:
        raise StorageError(_broken(begun)) from error
    finally:
        stop.set()  # what waits is not begun; ending processes by force could leave a queue that nobody empties
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interruptions_later() -> Iterator[None]:
    """Let Ctrl-C wait, so that processes which start meanwhile, and inherit this, never hear of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _task_size(records: int, seconds: float) -> int:
    """How many records the next task should have."""
    return max(1, min(LARGEST_TASK, int(TASK_SECONDS * records / max(seconds, 1e-6))))


def _broken(begun: bool) -> str:
    if begun:
        return (
            "a worker process was ended from outside, perhaps because memory ran out; "
            "run the command again to go on, with fewer --workers"
        )
    return (
        "worker processes cannot be started or ended at once: call this from a module that is guarded by "
        'if __name__ == "__main__", or take --workers 1'
    )


_recipe: Recipe
_stop: Event
"""Of a worker process: what it does, and whether anybody still asks for it."""


def _start(recipe: Recipe, workers: int, stop: Event) -> None:
    global _recipe, _stop
    _recipe, _stop = recipe, stop
    os.environ[THREADS] = str(max(1, (os.cpu_count() or 1) // workers))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent acts on it, and ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _carry_out(batch: Sequence[Numbered]) -> Done:
    begun = perf_counter()
    try:
        outcomes = [_recipe.carry_out(record, item) for record, item in batch if not _stop.is_set()]
        return outcomes, perf_counter() - begun
    except IodineKitError:
        raise
    except Exception:
        # As text, for exceptions of strangers need not survive the way to the parent.
        raise RuntimeError(f"in a worker process:\n{traceback.format_exc()}") from None
