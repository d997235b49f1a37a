"""Engines: where units of work run. Each module of this folder opens one kind of ``concurrent.futures.Executor``.

An engine never changes a result: it decides only which processes do the work. So it is not part of any key.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from iodine_kit.config import Config
from iodine_kit.registry import Registry


class EngineConfig(Config):
    """Which engine runs the units of a stage.

    Attributes:
        name: name of the engine.
        address: of an existing cluster; what it looks like depends on the engine.
        workers: largest number of processes that work at the same time, of the engines that start processes.
    """

    name: str = "local"
    address: str = ""
    workers: Annotated[int, Field(ge=1, le=4096)] = 1


IN_THIS_PROCESS = EngineConfig()


@dataclass(frozen=True)
class Running:
    """An engine that is ready for work.

    Attributes:
        executor: takes tasks. Functions and arguments are pickled, unless the executor works in this process.
        ahead: number of tasks to keep submitted, so that no worker waits for the next one.
        units: number of consecutive units in one task; more than one where starting a task takes seconds.
        in_process: whether tasks run in this process.
        remote: whether tasks run on other machines, which may not see the same files or have the same code.
        is_lost: whether the error of a task says that its worker ended, so that the task may be tried again.
    """

    executor: Executor
    ahead: int
    units: int = 1
    in_process: bool = False
    remote: bool = False
    is_lost: Callable[[BaseException], bool] = lambda error: False


class EnginePlugin(Protocol):
    """What a module of this folder offers."""

    SUMMARY: str
    """One line for lists."""

    def open(self, config: EngineConfig) -> AbstractContextManager[Running]:
        """Connect to a cluster, or prepare to start processes. The end of the context cancels what is not finished.

        Raises:
            iodine_kit.errors.ConfigError: if the address is wrong, or a package is missing.
            iodine_kit.errors.SourceError: if the cluster cannot be reached.
        """


ENGINES: Registry[EnginePlugin] = Registry("engine", "iodine_kit.engines", EnginePlugin)
