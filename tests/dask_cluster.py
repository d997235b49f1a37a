"""A Dask cluster for tests, on which a worker that is killed always comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = "300s"
"""On a busy machine it takes long to start a process; Dask's default gives up a worker after 15 seconds."""


@contextmanager
def two_workers() -> Iterator[Any]:
    """Two worker processes with a nanny each, which starts a killed one again."""
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": PATIENCE}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        yield cluster
