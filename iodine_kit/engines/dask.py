"""An existing Dask cluster."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from iodine_kit.engines import EngineConfig, Running, extra, kept_signal_handlers
from iodine_kit.errors import ConfigError, SourceError
from iodine_kit.system import to_path

SUMMARY = "an existing Dask cluster; needs the extra 'dask'"
ADDRESS = "tcp://HOST:PORT of the scheduler, or its scheduler file (FILE.json)"
OWN_WORKERS = True
TASKS_AHEAD = 2
"""Tasks per thread of the cluster that are submitted."""
SECONDS_TO_CONNECT = 15
SECONDS_WITHOUT_WORKERS = 60
"""How long a cluster may have no workers while it starts, or while its workers are started again."""
_LOGGERS = ("distributed", "distributed.client", "tornado.application")
"""They print tracebacks of what this module says in one sentence."""


@contextmanager
def open(config: EngineConfig, directory: Path) -> Iterator[Running]:
    """Connect to the scheduler; one task per thread of a worker runs at the same time."""
    with extra("dask"), kept_signal_handlers():
        from dask import config as settings
        from distributed import Client
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker
    address = config.address or settings.get("scheduler-address", "")
    if not address:
        raise ConfigError(
            "--engine dask needs --address of a running scheduler: start one with 'dask scheduler', and workers with "
            "'dask worker tcp://HOST:8786'; for processes of this machine alone, use --engine local"
        )
    address = _scheduler_address(address)
    _require_valid(address)
    with _quiet():
        client = _connect(Client, address)
        executor = client.get_executor(pure=False)
        try:
            _await_workers(client, address)
            yield Running(
                executor,
                ahead=TASKS_AHEAD * sum(client.nthreads().values()),
                tries=1,  # the scheduler has tried several workers
                remedy="possibly because its memory was full: see its log, give the workers more memory, then run the "
                "command again to resume",
                remote=True,
                is_lost=lambda error: isinstance(error, KilledWorker),
                is_disconnected=lambda error: (
                    client.status != "running" or isinstance(error, CommClosedError | ConnectionError)
                ),
                check=_checker(client, address),
            )
        finally:
            with suppress(Exception):  # the connection may be lost
                executor.shutdown(wait=False)
            with suppress(Exception):
                client.close(timeout=2)


def _scheduler_address(text: str) -> str:
    """The address that was given, or the one in a scheduler file."""
    if not text.endswith(".json"):
        return text
    try:
        return str(json.loads(to_path(text).read_bytes())["address"])
    except FileNotFoundError:
        raise SourceError(f"--address {text}: no such scheduler file: start 'dask scheduler' with it") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"--address {text}: is not a scheduler file, which 'dask scheduler' writes") from None


def _require_valid(address: str) -> None:
    """Refuse a wrong address before there is a client, which could not be closed if its address is wrong."""
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend
    from distributed.security import Security

    try:
        scheme, place = parse_address(address)
        get_backend(scheme)
        parse_host_port(place)
    except ValueError as error:
        raise ConfigError(f"--address {address}: {str(error).splitlines()[0]}: expected {ADDRESS}") from None
    if scheme in ("tls", "wss") and Security().get_connection_args("client").get("ssl_context") is None:
        raise ConfigError(f"--address {address}: {scheme} needs certificates: set distributed.comm.tls of Dask")


def _connect(connect: Callable[..., Any], address: str) -> Any:
    try:
        return connect(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError):
        raise SourceError(
            f"--address {address}: no Dask scheduler answers within {SECONDS_TO_CONNECT} s: check the address, and "
            "that 'dask scheduler' runs there"
        ) from None


def _await_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except TimeoutError:
        raise SourceError(_no_workers(address)) from None


def _checker(client: Any, address: str) -> Callable[[], None]:
    """A function that raises an error once the cluster has had no workers for a while."""
    seen = time.monotonic()

    def check() -> None:
        nonlocal seen
        with suppress(OSError):  # if the scheduler ended, the tasks are cancelled
            if client.nthreads():
                seen = time.monotonic()
        if time.monotonic() - seen > SECONDS_WITHOUT_WORKERS:
            raise SourceError(f"{_no_workers(address)}, then run the command again to resume")

    return check


def _no_workers(address: str) -> str:
    return f"--address {address}: this Dask cluster has no workers: start some with 'dask worker {address}'"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask's log."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
