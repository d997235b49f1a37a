"""What runs in a worker: it checks that its code and its files are those of whoever gave the order, and makes units."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iodine_kit.errors import IodineKitError, StorageError
from iodine_kit.system import storage_error
from iodine_kit.units.files import Work, find_unit, make_unit
from iodine_kit.units.versions import check_versions

SECONDS_TO_SEE = 10.0
"""How long a file may take to appear on another machine: network file systems remember what a folder contained."""


@dataclass(frozen=True)
class Order:
    """What to make and where.

    A worker may have another working directory, and serve others, too: paths in ``work`` should be absolute. Where they
    cannot be, because they become part of a result, it has to use :func:`iodine_kit.units.working_in`.

    Attributes:
        token: a file that exists as long as the result is wanted; only for workers of a cluster.
        versions: of the code that gave the order; only for workers of a cluster.
    """

    work: Work
    directory: Path
    stem: str
    token: Path | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The names of the files that were made, the error that ended the task early, and a note about the worker."""

    names: list[str] = field(default_factory=list)
    error: Exception | None = None
    note: str = ""


def make(order: Order, numbers: list[int], again: bool) -> Outcome:
    """Make units in the process that gave the order. ``again``: an earlier worker may have finished some."""
    names: list[str] = []
    try:
        names += (_make_one(order, number, again) for number in numbers)
    except Exception as error:
        return Outcome(names, error)
    return Outcome(names)


def make_elsewhere(order: Order, numbers: list[int], again: bool) -> Outcome:
    """As :func:`make`, in another process, maybe on another machine."""
    try:
        note = check_versions(order.versions)
        if order.token is not None:
            _check_files(order, SECONDS_TO_SEE)
    except IodineKitError as error:
        return Outcome([], error)
    outcome = make(order, numbers, again)
    return Outcome(outcome.names, outcome.error and _portable(outcome.error, order), note)


def _make_one(order: Order, number: int, again: bool) -> str:
    _check_files(order)
    made = find_unit(order.directory, order.stem, number) if again else ""
    return made or make_unit(order.work, order.directory, order.stem, number, lambda: _check_files(order))


def _check_files(order: Order, seconds: float = 0) -> None:
    """Check that this machine sees the files of the store, and that the result is still wanted."""
    deadline = time.monotonic() + seconds
    while order.token is not None and not os.path.exists(order.token):  # noqa: PTH110 - False if permission is denied
        if time.monotonic() >= deadline:
            raise StorageError(
                f"{order.directory}: a worker on {socket.gethostname()} cannot see this folder: choose a store "
                "(--store) on a file system that all machines share under the same path"
            )
        time.sleep(0.1)


def _portable(error: Exception, order: Order) -> Exception:
    """An error that survives pickling and says on which machine it happened."""
    where = f" (on {socket.gethostname()})" if order.token is not None else ""
    if isinstance(error, OSError | MemoryError) and where:
        error = storage_error(error, getattr(error, "filename", None) or order.directory, "read or written")
    if isinstance(error, IodineKitError):
        error.args = (f"{error}{where}",)
    elif not isinstance(error, OSError | MemoryError):
        text = "".join(traceback.format_exception(error))
        return RuntimeError(f"in a worker process{where}:\n{text}")
    return error
