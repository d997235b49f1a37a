"""Every stage that maps over units, on a real Dask cluster that loses a worker: the bytes are those of one process."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import TINY, Command

from iodine_kit.store import Store

distributed = pytest.importorskip("distributed")
SPLITS = ("--split", "train=8", "--split", "test=2")


@pytest.fixture
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@contextmanager
def loss_of_a_worker(cluster: Any, store: Path) -> Iterator[None]:
    """Kill one of the workers as soon as the first unit of a stage is finished; it has to happen in the context."""
    pids = [nanny.pid for nanny in cluster.workers.values()]
    over, killed = threading.Event(), threading.Event()

    def kill() -> None:
        while not any(store.glob("*/.*.partial/**/*.unit")):
            if over.wait(0.002):
                return
        os.kill(pids[0], signal.SIGKILL)
        killed.set()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert killed.is_set(), "the stage ended before a unit was seen"


def contents(store: Path) -> list[tuple[str, str]]:
    """Key of every artifact, and hash of its files and facts."""
    return sorted((one.manifest.key, one.manifest.content) for one in Store(store).artifacts())


@pytest.mark.slow
def test_stages_on_a_cluster_that_loses_a_worker_make_the_same_bytes(
    iodine_kit: Command, cluster: Any, tmp_path: Path, mini: Path
) -> None:
    here = ("--store", "here")
    there = ("--store", "there", "--engine", "dask", "--address", cluster.scheduler_address)
    prepare = ("prepare", "multi-dsprites", "--generate", 100, "--set", "format.scenes_per_shard=25")
    iodine_kit(*prepare, *here)
    with loss_of_a_worker(cluster, tmp_path / "there"):
        iodine_kit(*prepare, *there)
    shutil.copy(mini, tmp_path / "mini.tfrecords")
    for place in (here, there):
        iodine_kit("prepare", "tetrominoes", "--source", "mini.tfrecords", *SPLITS, *place)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")

    iodine_kit("train", *TINY, "--set", "train.steps=1", *here)
    shutil.copytree(tmp_path / "here" / "run", tmp_path / "there" / "run")
    for place in (here, there):
        iodine_kit("infer", "--set", "infer.split=train", *place)
        iodine_kit("eval", *place)
        iodine_kit("probe", "--set", "probe.folds=2", *place)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
