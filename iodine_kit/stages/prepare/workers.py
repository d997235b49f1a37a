"""Work on records in this process or in several; results always come in the order of the records."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from iodine_kit.errors import StorageError
from iodine_kit.layouts import Item
from iodine_kit.stages.prepare.recipe import Outcome, Recipe

BATCH = 8
"""Records per task: few enough to lose nothing of note, enough to make sending them cheap."""
AHEAD = 3
"""Tasks per worker that may wait: bounds memory, whatever the length of the source."""

Numbered = tuple[int, Item]


def carried_out(recipe: Recipe, items: Iterable[Numbered], workers: int) -> Iterator[Outcome]:
    """The outcome of every record, in order."""
    if workers == 1:
        return (recipe.carry_out(record, item) for record, item in items)
    return _in_processes(recipe, iter(items), workers)


def _in_processes(recipe: Recipe, items: Iterator[Numbered], workers: int) -> Iterator[Outcome]:
    # Spawned, not forked: a fork would copy the locks of the threads that show progress.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start, (recipe,))
    waiting: deque[Future[list[Outcome]]] = deque()
    try:
        while batch := list(islice(items, BATCH)):
            waiting.append(pool.submit(_carry_out, batch))
            if len(waiting) > AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool:
        raise StorageError(
            "a worker process was ended from outside, perhaps because memory ran out; "
            "run the command again to go on, with fewer --workers"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_recipe: Recipe
"""Of a worker process."""


def _start(recipe: Recipe) -> None:
    global _recipe
    _recipe = recipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends its workers in good order
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _carry_out(batch: Sequence[Numbered]) -> list[Outcome]:
    return [_recipe.carry_out(record, item) for record, item in batch]
