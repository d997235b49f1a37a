"""Every stage that maps over units, on a real Dask cluster that loses a worker in each: the bytes of one process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from dask_cluster import PATIENCE, two_workers
from support import TINY, Command
from typer.testing import CliRunner
from units_of_work import Deadly

from iodine_kit.cli.app import app
from iodine_kit.stages import evaluate, probe
from iodine_kit.stages.infer import segment
from iodine_kit.stages.prepare import results as preparation
from iodine_kit.store import Store
from iodine_kit.units import make_units

pytest.importorskip("distributed")
SPLITS = ("--split", "train=8", "--split", "test=2")


@pytest.fixture
def cluster() -> Iterator[Any]:
    with two_workers() as cluster:
        yield cluster


@pytest.fixture
def killing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Any) -> Callable[..., set[str]]:
    """Run a command in this process; every kind of its units kills a worker. Returns the first words of these kinds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(segment, "WORK_OF_A_UNIT", 1)  # a batch
    for stage in (evaluate, probe):
        monkeypatch.setattr(stage, "unit_size", lambda pixels, batch: 3)

    def run(*arguments: object) -> set[str]:
        marks = tmp_path / "marks"
        shutil.rmtree(marks, ignore_errors=True)
        marks.mkdir()

        def deadly(work: Any, directory: Path, stem: str, *rest: Any) -> Any:
            return make_units(Deadly(work, marks / stem), directory, stem, *rest)

        for module in (preparation, import_module("iodine_kit.stages.infer.make"), evaluate, probe):
            monkeypatch.setattr(module, "make_units", deadly)
        cluster.wait_for_workers(2, PATIENCE)
        there = ("--store", "there", "--engine", "dask", "--address", cluster.scheduler_address)
        done = CliRunner().invoke(app, [*map(str, arguments), *there], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return {mark.name.rstrip("-0123456789") for mark in marks.iterdir()}

    return run


def contents(store: Path) -> list[tuple[str, str]]:
    """Key of every artifact, and hash of its files and facts."""
    return sorted((one.manifest.key, one.manifest.content) for one in Store(store).artifacts())


@pytest.mark.slow
def test_stages_on_a_cluster_that_loses_workers_make_the_same_bytes(
    iodine_kit: Command, killing: Callable[..., set[str]], tmp_path: Path, mini: Path
) -> None:
    shutil.copy(mini, tmp_path / "mini.tfrecords")
    prepare = ("prepare", "multi-dsprites", "--generate", 100, "--set", "format.scenes_per_shard=25")
    read = ("prepare", "tetrominoes", "--source", "mini.tfrecords", *SPLITS)
    for command in (prepare, read):
        iodine_kit(*command, "--store", "here")
        assert killing(*command) == {"records"}
    assert contents(tmp_path / "here") == contents(tmp_path / "there")

    iodine_kit("train", *TINY, "--set", "train.steps=1", "--store", "here")
    shutil.copytree(tmp_path / "here" / "run", tmp_path / "there" / "run")
    infer = ("infer", "--set", "infer.split=train", "--set", "infer.batch_size=2")
    kinds = {infer: {"infer"}, ("eval",): {"eval"}, ("probe", "--set", "probe.folds=2"): {"probe-scenes", "probe-fit"}}
    for command, killed in kinds.items():
        iodine_kit(*command, "--store", "here")
        assert killing(*command) == killed
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
