"""Process records in this process or in several; the results are always in the order of the records."""

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
from time import perf_counter, sleep

from iodine_kit.datasets import THREADS
from iodine_kit.errors import IodineKitError, StorageError
from iodine_kit.layouts import Item
from iodine_kit.stages.prepare.process_record import RecordProcessor, RecordResult

TASK_SECONDS = 0.2
"""Target duration of a task: short enough to lose little with it, long enough to hide the cost of sending it."""
LARGEST_TASK = 64
"""Most records in one task."""
TASKS_AHEAD = 3
"""Tasks per worker that may wait; this bounds the memory for a source of any length."""
_OF_TERMINALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""Signals that a terminal sends to all processes in it; Windows has no SIGHUP."""
_SIGNAL_SECONDS = 0.5

NumberedItem = tuple[int, Item]
TaskResult = tuple[list[RecordResult], float]
"""The results of a task, and the seconds that it took."""


def process_records(processor: RecordProcessor, items: Iterable[NumberedItem], workers: int) -> Iterator[RecordResult]:
    """Yield the result of every record, in order. With ``workers`` > 1, spawn that many processes.

    Raises:
        StorageError: if a worker process cannot be started or is killed.
        IodineKitError: the first error of a record, see :meth:`RecordProcessor.process`.
    """
    if workers == 1:
        return (processor.process(record, item) for record, item in items)
    return _process_in_parallel(processor, iter(items), workers)


def _process_in_parallel(
    processor: RecordProcessor, items: Iterator[NumberedItem], workers: int
) -> Iterator[RecordResult]:
    # Spawned, not forked: a fork would copy the locks of the threads that display progress.
    context = multiprocessing.get_context("spawn")
    with _delay_interrupts():  # starts a process of multiprocessing, which must not end before the workers
        stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (processor, workers, stop))
    waiting: deque[Future[TaskResult]] = deque()
    size, has_results = 1, False
    try:
        while batch := list(islice(items, size)):
            with _delay_interrupts():
                waiting.append(pool.submit(_process_batch, batch))
            if len(waiting) > TASKS_AHEAD * workers:
                results, seconds = waiting.popleft().result()
                yield from results
                size, has_results = _task_size(len(results), seconds), True
        while waiting:
            yield from waiting.popleft().result()[0]
    except BrokenProcessPool as error:
        sleep(_SIGNAL_SECONDS)  # a signal to the whole group may end the workers before it interrupts this process
        raise StorageError(_broken_pool_message(has_results)) from error
    finally:
        stop.set()  # waiting tasks return at once; killing the processes could leave a queue that nobody reads
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _delay_interrupts() -> Iterator[None]:
    """Block Ctrl-C and SIGHUP. Processes that start in this context inherit the block: only the parent reacts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _task_size(records: int, seconds: float) -> int:
    """Number of records for the next task, from the duration of the last one."""
    return max(1, min(LARGEST_TASK, int(TASK_SECONDS * records / max(seconds, 1e-6))))


def _broken_pool_message(has_results: bool) -> str:
    if has_results:
        return (
            "a worker process was killed, possibly because the memory was full; run the command again with fewer "
            "--workers to resume"
        )
    return (
        'the worker processes cannot start: guard the calling script with if __name__ == "__main__", or use --workers 1'
    )


_processor: RecordProcessor
_stop: Event
"""Of a worker process: how to process records, and whether to skip those that are left."""


def _start_worker(processor: RecordProcessor, workers: int, stop: Event) -> None:
    global _processor, _stop
    _processor, _stop = processor, stop
    os.environ[THREADS] = str(max(1, (os.cpu_count() or 1) // workers))
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)  # only the parent reacts, and ends its workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _process_batch(batch: Sequence[NumberedItem]) -> TaskResult:
    start = perf_counter()
    try:
        results = [_processor.process(record, item) for record, item in batch if not _stop.is_set()]
        return results, perf_counter() - start
    except IodineKitError:
        raise
    except Exception:
        # As text, because the exceptions of third-party code may not survive pickling.
        raise RuntimeError(f"in a worker process:\n{traceback.format_exc()}") from None
