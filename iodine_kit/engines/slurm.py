"""Jobs of Slurm, submitted with submitit; or processes that submitit starts on this machine."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

from iodine_kit.engines import EngineConfig, Running, address_options, extra
from iodine_kit.errors import ConfigError, SourceError

SUMMARY = "jobs of Slurm (--workers N at the same time); needs the extra 'slurm'"
ADDRESS = "options of a job, such as partition=gpu,time=60,mem_gb=16 (time in minutes); or local: processes here"
OPTIONS: Mapping[str, type[int] | type[float] | type[str]] = {
    "account": str, "comment": str, "constraint": str, "cpus_per_task": int, "exclude": str, "gpus_per_node": int,
    "gres": str, "mem_gb": float, "partition": str, "qos": str, "time": int, "units": int,
}  # fmt: skip
"""Those of ``sbatch`` as submitit calls them; ``time`` in minutes. ``units`` is the number of units in one job."""
MINUTES = 60
"""Default time limit of a job."""
UNITS_PER_JOB = 32
"""Default for the most units in one job: starting a job takes seconds, and may have to wait for a place."""
FAILED_LOOKS = 150
"""How often in a row the state of a job may be unreadable: for five minutes."""
P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def open(config: EngineConfig, directory: Path) -> Iterator[Running]:
    """Prepare to submit jobs. Their logs are in ``.jobs`` of the store, and are deleted unless a job fails."""
    with extra("slurm"):
        import submitit
        from submitit.core.utils import UncompletedJobError
    is_local = config.address == "local"
    options = {"time": MINUTES, **({} if is_local else address_options(config.address, OPTIONS))}
    units = options.pop("units", UNITS_PER_JOB)
    draft = next((path for path in (directory, *directory.parents) if path.suffix == ".partial"), directory)
    folder = draft.parents[1] / ".jobs" / f"{draft.stem.strip('.')}-{token_hex(4)}"
    executor = _executor(submitit, folder, is_local, options)
    if is_local:
        jobs = Jobs(executor, seconds_per_look=0.2, starting=partial(_printing_to, folder / "processes.log"))
    else:
        jobs = Jobs(executor, seconds_per_look=2.0)
    try:
        yield Running(
            jobs,
            ahead=config.workers,
            units=units,
            remedy=f"because its job was killed or reached its limits: see {folder}, allow more with time= (minutes) "
            "or mem_gb= in --address, then run the command again to resume",
            remote=True,
            is_lost=lambda error: type(error) is UncompletedJobError,
            check=jobs.check,
        )
    finally:
        jobs.shutdown(cancel_futures=True)
        if not jobs.has_failed:
            _remove(folder)


def _executor(submitit: Any, folder: Path, is_local: bool, options: dict[str, Any]) -> Any:
    folder.mkdir(parents=True, mode=0o700)  # submitit exchanges pickles in it
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster="local" if is_local else "slurm")
    except RuntimeError:
        _remove(folder)
        raise SourceError(
            "--engine slurm: this machine has no Slurm ('srun' is not in PATH): run the command on a login node, or "
            "try it with --address local"
        ) from None
    parameters = {"name": "iodine-kit", "timeout_min": options.pop("time"), "tasks_per_node": 1}
    for common in ("mem_gb", "cpus_per_task", "gpus_per_node"):
        if common in options:
            parameters[common] = options.pop(common)
    executor.update_parameters(**parameters, **{f"slurm_{name}": value for name, value in options.items()})
    return executor


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Let the processes that submitit starts on this machine print to a file, not to the user's terminal.

    Those that watch a job have the standard error of this process, and end with a traceback when the job is cancelled.
    Submitit has no option for it.
    """
    from submitit.local import local

    with log.open("ab") as file:
        local.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": partial(subprocess.Popen, stderr=file)})
        try:
            yield
        finally:
            local.subprocess = subprocess


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # logs of other jobs are in it
        folder.parent.rmdir()


class Jobs(Executor):
    """Submitit's jobs as an executor; a thread looks which of them have ended."""

    def __init__(
        self, executor: Any, seconds_per_look: float, starting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._executor, self._seconds, self._starting = executor, seconds_per_look, starting
        self._jobs: dict[Future[Any], Any] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.has_failed = False
        """Whether a job ended without a result; its log is kept."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a job."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            with self._starting():
                job = self._executor.submit(fn, *args, **kwargs)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(f"--engine slurm: the job was refused ({reason}): change --address") from error
        with self._lock:
            self._jobs[future] = job
        if not self._thread.is_alive():
            self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop to look; with ``cancel_futures``, cancel all jobs."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        for job in self._jobs.values() if cancel_futures else []:
            with suppress(Exception):  # it ended in the meantime
                job.cancel(check=False)
        for job in self._jobs.values() if cancel_futures else []:
            process = getattr(job, "_process", None)
            if process is not None:
                process.wait()

    def check(self) -> None:
        """Raise :class:`SourceError` if nobody looks any more, so that no future would ever end."""
        if self._jobs and not self._thread.is_alive():
            raise SourceError("--engine slurm: jobs are not observed any more: run the command again to resume")

    def _look(self) -> None:
        failures: Counter[Future[Any]] = Counter()
        while not self._end.wait(self._seconds):
            with self._lock:
                jobs = list(self._jobs.items())
            for future, job in jobs:
                try:
                    if not job.done():
                        failures.pop(future, None)
                        continue
                except Exception as error:  # Slurm or the file system does not answer for a moment
                    failures[future] += 1
                    if failures[future] < FAILED_LOOKS:
                        continue
                    self._fail(future, _unreadable(error))
                    with suppress(Exception):
                        job.cancel(check=False)
                else:
                    self._finish(future, job)
                with self._lock:
                    del self._jobs[future]

    def _finish(self, future: Future[Any], job: Any) -> None:
        try:
            future.set_result(job.result())
        except Exception as error:
            self._fail(future, error)

    def _fail(self, future: Future[Any], error: Exception) -> None:
        self.has_failed = True
        future.set_exception(error)


def _unreadable(error: Exception) -> SourceError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SourceError(
        f"--engine slurm: the state of a job cannot be read ({reason}): check Slurm and the disk of the store, then "
        "run the command again to resume"
    )
