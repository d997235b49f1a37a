"""Processes of this machine; with one worker, this process itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from iodine_kit.engines import EngineConfig, Running
from iodine_kit.errors import ConfigError, StorageError
from iodine_kit.system import usable_cores

SUMMARY = "processes of this machine (--workers N)"
ADDRESS = ""
TASKS_AHEAD = 2
"""Tasks per worker that are submitted."""
THREADS = "IODINE_KIT_THREADS"
"""Environment variable of a worker: the number of threads that it may use."""
_OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)
"""Signals that a terminal sends to all processes in it."""
_SIGNAL_SECONDS = 0.5
P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def open(config: EngineConfig, directory: Path) -> Iterator[Running]:
    """Start a process when a task needs it; ``address`` has to be empty."""
    if config.address:
        raise ConfigError(f"--address {config.address}: the engine 'local' has no address; choose another --engine")
    if config.workers == 1:
        yield Running(ThisProcess(), ahead=1, in_process=True)
        return
    pool = Pool(config.workers)
    try:
        yield Running(pool, TASKS_AHEAD * config.workers, is_lost=is_lost)
    finally:
        pool.shutdown(cancel_futures=True)


def is_lost(error: BaseException) -> bool:
    """Whether a worker was killed."""
    return isinstance(error, BrokenProcessPool)


class ThisProcess(Executor):
    """An executor that runs a task when it is submitted. Interruptions are raised at once."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the task."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Pool(Executor):
    """Spawned processes. When one is killed, only its task fails, and another process takes its place.

    In a pool of the standard library, a killed process ends all others. So each process here has a pool of its own, and
    a thread that waits for it.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers)
        self._of_thread = threading.local()
        self._stops: set[Connection] = set()
        self._ended = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a task to the first process that is free; starts it if necessary."""
        with delayed_interrupts():  # threads inherit the block, and processes inherit it from them
            return self._threads.submit(self._run, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes; with ``cancel_futures``, also in the middle of a task."""
        if cancel_futures:
            with self._lock:
                self._ended = True
                for stop in self._stops:
                    stop.close()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        with self._lock:
            for stop in self._stops:
                stop.close()

    def _run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a task in the process of this thread."""
        pool: ProcessPoolExecutor | None = getattr(self._of_thread, "pool", None)
        if pool is None:
            pool = self._of_thread.pool = self._start()
        try:
            return pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._of_thread.pool = None
            raise

    def _start(self) -> ProcessPoolExecutor:
        # Spawned, not forked: a fork would copy the locks of the threads that display progress.
        context = multiprocessing.get_context("spawn")
        listening, stop = context.Pipe(duplex=False)
        with self._lock:
            if self._ended:
                raise BrokenProcessPool("the pool was shut down")
            self._stops.add(stop)
        pool = ProcessPoolExecutor(1, context, start_worker, (self._workers, listening))
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool:
            time.sleep(_SIGNAL_SECONDS)  # a signal to the whole group may end it before it interrupts this process
            if self._ended:
                raise
            raise StorageError(
                'the worker processes cannot start: guard the calling script with if __name__ == "__main__", or use '
                "--workers 1"
            ) from None
        return pool


@contextmanager
def delayed_interrupts() -> Iterator[None]:
    """Block Ctrl-C and SIGHUP. Processes that start in this context inherit the block: only the parent reacts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(workers: int, stop: Any) -> None:
    """Prepare a worker process: it ignores the terminal's signals, and ends when its parent ends or closes ``stop``."""
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)  # only the parent reacts, and ends its workers
    threads = str(max(1, usable_cores() // workers))
    os.environ[THREADS] = threads
    os.environ.setdefault("OMP_NUM_THREADS", threads)  # before torch is imported: together they use every core once
    threading.Thread(target=_exit_with, args=(stop,), daemon=True).start()


def _exit_with(stop: Connection) -> None:
    try:
        stop.recv_bytes()
    except (EOFError, OSError):  # the other end was closed
        os._exit(1)
