"""Processes of this machine; with one worker, this process itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from iodine_kit.engines import EngineConfig, Running
from iodine_kit.errors import ConfigError

SUMMARY = "processes of this machine (--workers N)"
TASKS_AHEAD = 2
"""Tasks per worker that are submitted."""
THREADS = "IODINE_KIT_THREADS"
"""Environment variable of a worker: the number of threads that it may use."""
_OF_TERMINALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""Signals that a terminal sends to all processes in it; Windows has no SIGHUP."""
P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def open(config: EngineConfig) -> Iterator[Running]:
    """Start processes when the first task arrives; ``address`` has to be empty."""
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
    """Spawned processes, which are started anew when one of them was killed.

    A killed process breaks the whole pool of the standard library: its tasks fail, and no other one is accepted.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._stop: Connection | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a task; starts the processes if there are none."""
        with delayed_interrupts():
            if self._pool is not None:
                try:
                    return self._pool.submit(fn, *args, **kwargs)
                except BrokenProcessPool:
                    self.shutdown()
            self._start()
            assert self._pool is not None
            return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all processes, also in the middle of a task."""
        if self._stop is not None:
            self._stop.close()
        if self._pool is not None:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)
        self._pool = self._stop = None

    def _start(self) -> None:
        # Spawned, not forked: a fork would copy the locks of the threads that display progress.
        context = multiprocessing.get_context("spawn")
        listening, self._stop = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self._workers, context, start_worker, (self._workers, listening))


@contextmanager
def delayed_interrupts() -> Iterator[None]:
    """Block Ctrl-C and SIGHUP. Processes that start in this context inherit the block: only the parent reacts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(workers: int, stop: Any) -> None:
    """Prepare a worker process: it ignores the terminal's signals, and ends when its parent ends or closes ``stop``."""
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)  # only the parent reacts, and ends its workers
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    os.environ[THREADS] = threads
    os.environ.setdefault("OMP_NUM_THREADS", threads)  # before torch is imported: together they use every core once
    threading.Thread(target=_exit_with, args=(stop,), daemon=True).start()


def _exit_with(stop: Connection) -> None:
    try:
        stop.recv_bytes()
    except (EOFError, OSError):  # the other end was closed
        os._exit(1)
