"""Engines: where units of work run. Each module of this folder opens one kind of ``concurrent.futures.Executor``.

An engine never changes a result: it decides only which processes do the work. So it is not part of any key.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field

from iodine_kit.config import Config
from iodine_kit.errors import ConfigError, did_you_mean
from iodine_kit.process import STOP_SIGNALS, may_be_handled
from iodine_kit.registry import Registry


class EngineConfig(Config):
    """Which engine runs the units of a stage.

    Attributes:
        name: name of the engine.
        address: of an existing cluster; what it looks like depends on the engine.
        workers: most processes (local) or jobs (slurm) that work at the same time; clusters have their own number.
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
        units: most consecutive units in one task; more than one where starting a task takes seconds.
        tries: how often a task is submitted whose worker is lost; 1 if the engine itself tries again.
        remedy: ends the sentence about a worker that was lost too often: why, and what to do.
        in_process: whether tasks run in this process.
        remote: whether tasks run on other machines, which may not see the same files or have the same code.
        is_lost: whether the error of a task says that its worker ended, so that the task may be tried again.
        is_disconnected: whether an error says that the connection to the cluster was lost.
        check: called while no task ends; raises :class:`SourceError` if none can, because no worker is left.
    """

    executor: Executor
    ahead: int
    units: int = 1
    tries: int = 3
    remedy: str = (
        "possibly because its memory was full: end other programs, then run the command again with fewer --workers to "
        "resume"
    )
    in_process: bool = False
    remote: bool = False
    is_lost: Callable[[BaseException], bool] = lambda error: False
    is_disconnected: Callable[[BaseException], bool] = lambda error: isinstance(error, ConnectionError)
    check: Callable[[], None] = lambda: None


class EnginePlugin(Protocol):
    """What a module of this folder offers."""

    SUMMARY: str
    """One line for lists."""
    ADDRESS: str
    """What ``--address`` looks like; empty if the engine has none."""

    def open(self, config: EngineConfig, directory: Path) -> AbstractContextManager[Running]:
        """Connect to a cluster, or prepare to start processes. The end of the context cancels what is not finished.

        Args:
            directory: where the units are written, in the draft of an artifact.

        Raises:
            iodine_kit.errors.ConfigError: if the address is wrong, or the package of an extra is missing.
            iodine_kit.errors.SourceError: if the cluster cannot be reached, or has no workers.
        """


ENGINES: Registry[EnginePlugin] = Registry("engine", "iodine_kit.engines", EnginePlugin)


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn the absence of a package that this context imports into one sentence with the name of its extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--engine {name} needs the extra '{name}' ({error}): pip install 'iodine-kit[{name}]'"
        ) from None


@contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Put back the handlers of signals that a package replaces when it is imported or starts."""
    numbers = [number for number in STOP_SIGNALS if may_be_handled(number)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def address_options(text: str, known: Mapping[str, type[int] | type[float] | type[str]]) -> dict[str, Any]:
    """The parts ``key=value`` of an address, separated by commas.

    Raises:
        ConfigError: for an unknown key, a value of the wrong type, or a part without ``=``.
    """
    options: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or key not in known:
            raise ConfigError(f"--address {text}: '{part}' is not KEY=VALUE with a known key{did_you_mean(key, known)}")
        try:
            options[key] = known[key](value)
        except ValueError:
            kind = "an integer" if known[key] is int else "a number"
            raise ConfigError(f"--address {text}: {key} must be {kind}, not '{value}'") from None
    return options
