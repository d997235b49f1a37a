"""An existing Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from iodine_kit.engines import EngineConfig, Running, address_options, extra, kept_signal_handlers
from iodine_kit.errors import ConfigError, SourceError

SUMMARY = "an existing Ray cluster; needs the extra 'ray'"
ADDRESS = "auto, HOST:PORT or ray://HOST:PORT; optionally followed by ,num_gpus=1,num_cpus=2: what each task needs"
OWN_WORKERS = True
RESOURCES: Mapping[str, type[float]] = {"num_cpus": float, "num_gpus": float}
TASKS_AHEAD = 2
P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def open(config: EngineConfig, directory: Path) -> Iterator[Running]:
    """Connect to the cluster; as many tasks run at the same time as its CPU cores (or GPUs) allow."""
    with extra("ray"), kept_signal_handlers():
        import ray
    address, _, options = (config.address or "auto").partition(",")
    needs = {"num_cpus": 1.0, "num_gpus": 0.0, **address_options(options, RESOURCES)}
    if not any(needs.values()):
        raise ConfigError(f"--address {config.address}: num_cpus or num_gpus must be positive")
    with kept_signal_handlers():
        mine = _connect(ray, address)
    tasks = Tasks(ray, needs)
    try:
        slots = _slots(ray, needs, config.address or address)
        yield Running(
            tasks,
            ahead=TASKS_AHEAD * slots,
            remedy="possibly because its memory was full: see 'ray list tasks', ask for more with num_cpus=2 in "
            "--address, then run the command again to resume",
            remote=True,
            is_lost=lambda error: isinstance(error, _losses(ray)),
            check=lambda: cast(None, _slots(ray, needs, config.address or address)),
        )
    finally:
        tasks.shutdown(cancel_futures=True)
        if mine:
            ray.shutdown()


class Tasks(Executor):
    """Ray's tasks as an executor."""

    def __init__(self, ray: Any, needs: Mapping[str, float]) -> None:
        self._ray, self._needs = ray, needs
        self._references: dict[Future[Any], Any] = {}

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a task, which Ray does not try again."""
        reference = self._ray.remote(max_retries=0, **self._needs)(fn).remote(*args, **kwargs)
        future = cast("Future[T]", reference.future())
        self._references[future] = reference
        future.add_done_callback(lambda done: self._references.pop(done, None) and None)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel what is not finished, also in the middle of a task."""
        for reference in list(self._references.values()) if cancel_futures else []:
            with suppress(Exception):  # it ended in the meantime, or the cluster did
                self._ray.cancel(reference, force=True)


def _connect(ray: Any, address: str) -> bool:
    """Connect unless this process is connected already; returns whether it was not."""
    if ray.is_initialized():
        return False
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ValueError as error:
        raise ConfigError(f"--address {address}: {str(error).splitlines()[0]}: expected {ADDRESS}") from None
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise SourceError(
            f"--address {address}: no Ray cluster can be used ({reason}): start one with 'ray start --head'"
        ) from None
    return True


def _slots(ray: Any, needs: Mapping[str, float], address: str) -> int:
    """How many tasks the cluster can run at the same time; raises if none."""
    has = {"num_cpus": ray.cluster_resources().get("CPU", 0.0), "num_gpus": ray.cluster_resources().get("GPU", 0.0)}
    slots = min(has[name] // need for name, need in needs.items() if need)
    if slots < 1:
        raise SourceError(
            f"--address {address}: this Ray cluster has {has['num_cpus']:g} CPU cores and {has['num_gpus']:g} GPUs, "
            "too few for one task: add nodes with 'ray start --address', or ask for less with num_cpus= or num_gpus="
        )
    return int(slots)


def _losses(ray: Any) -> tuple[type[BaseException], ...]:
    errors = ray.exceptions
    return (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError, errors.ObjectLostError)
