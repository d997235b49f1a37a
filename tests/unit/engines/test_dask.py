"""A real Dask cluster with two workers: one of them is killed, and everything is as with local processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dask_cluster import PATIENCE, two_workers
from units_of_work import assert_only_the_lost_unit_is_made_again, work_in

from iodine_kit.engines import EngineConfig
from iodine_kit.errors import ConfigError, CountError, SourceError, StorageError
from iodine_kit.units import finished_units, make_units

distributed = pytest.importorskip("distributed")
from iodine_kit.engines import dask  # noqa: E402


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_workers() as cluster:
        yield cluster


@pytest.fixture
def address(cluster: Any) -> str:
    cluster.wait_for_workers(2, PATIENCE)
    return str(cluster.scheduler_address)


def engine(address: str) -> EngineConfig:
    return EngineConfig(name="dask", address=address)


def test_only_the_unit_of_a_killed_worker_is_made_again(address: str, tmp_path: Path) -> None:
    assert_only_the_lost_unit_is_made_again(engine(address), tmp_path)


def test_an_error_names_the_machine_and_the_rest_is_cancelled(address: str, tmp_path: Path) -> None:
    work, out = work_in(tmp_path, refused=(1,))
    with pytest.raises(CountError, match=r"^unit 1 is refused \(on .+\)$"):
        list(make_units(work, out, "part", range(100), engine(address)))
    assert 0 in finished_units(out, "part") and work.begun(99) == 0


def test_a_unit_that_kills_its_workers_is_one_sentence(
    cluster: Any, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    work, out = work_in(tmp_path, deadly=((0, 99),))
    with pytest.raises(StorageError, match=r"^the worker of unit 0 was lost too often, possibly because its memory"):
        list(make_units(work, out, "part", [0], engine(address)))


@pytest.mark.parametrize(
    ("wrong", "error", "sentence"),
    [
        ("", ConfigError, r"--engine dask needs --address of a running scheduler: start one with 'dask scheduler'"),
        ("host", ConfigError, r"--address host: missing port number in address 'host': expected tcp://HOST:PORT"),
        ("http://host:1", ConfigError, r"unknown address scheme 'http' .*: expected tcp://HOST:PORT"),
        ("tls://host:1", ConfigError, r"tls needs certificates: set distributed.comm.tls"),
        ("no.json", SourceError, r"no such scheduler file"),
        ("tcp://127.0.0.1:9", SourceError, r"no Dask scheduler answers within 1 s: check the address"),
    ],
)
def test_a_wrong_address_is_one_sentence(
    wrong: str, error: type[Exception], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "SECONDS_TO_CONNECT", 1)
    with pytest.raises(error, match=sentence):
        list(make_units(work_in(tmp_path)[0], tmp_path, "part", [0], engine(wrong)))


def test_a_scheduler_file_names_the_scheduler(cluster: Any, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text("{}")
    work, out = work_in(tmp_path)
    with pytest.raises(ConfigError, match=r"scheduler\.json: is not a scheduler file, which 'dask scheduler' writes"):
        list(make_units(work, out, "part", [0], engine(str(file))))
    file.write_text(json.dumps(cluster.scheduler.identity()))
    assert [path.read_text() for path in make_units(work, out, "part", [0], engine(str(file)))] == ["unit 0"]


def test_a_cluster_without_workers_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "SECONDS_TO_CONNECT", 1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0", protocol="tcp") as cluster,
        pytest.raises(SourceError, match="has no workers: start some with 'dask worker tcp://"),
    ):
        list(make_units(work_in(tmp_path)[0], tmp_path, "part", [0], engine(cluster.scheduler_address)))


def test_without_the_extra_a_sentence_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("distributed", "ray", "submitit"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("dask", "ray", "slurm"):
        with pytest.raises(ConfigError, match=rf"--engine {name} needs the extra '{name}' .*\[{name}\]"):
            list(make_units(work_in(tmp_path / name)[0], tmp_path, "part", [0], EngineConfig(name=name)))
