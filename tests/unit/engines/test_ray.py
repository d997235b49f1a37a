"""A Ray cluster of this machine, where Ray is installed: one worker is killed, and the files are the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from units_of_work import assert_only_the_lost_unit_is_made_again, work_in

from iodine_kit.engines import EngineConfig
from iodine_kit.errors import ConfigError, CountError, SourceError, StorageError
from iodine_kit.units import make_units

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of a cluster that this process is connected to, with two cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for the work of the tests
        context: Any = ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield context.address_info["gcs_address"]
    ray.shutdown()


def engine(address: str) -> EngineConfig:
    return EngineConfig(name="ray", address=address)


def test_only_the_unit_of_a_killed_worker_is_made_again(address: str, tmp_path: Path) -> None:
    assert_only_the_lost_unit_is_made_again(engine(address), tmp_path)


def test_errors_are_one_sentence(address: str, tmp_path: Path) -> None:
    work, out = work_in(tmp_path, refused=(1,), deadly=((2, 99),))
    with pytest.raises(CountError, match=r"^unit 1 is refused \(on .+\)$"):
        list(make_units(work, out, "part", range(2), engine(address)))
    with pytest.raises(StorageError, match=r"^the worker of unit 2 was lost 3 times, possibly because its memory"):
        list(make_units(work, out, "part", [2], engine(address)))
    with pytest.raises(SourceError, match="this Ray cluster has 2 CPU cores and 0 GPUs, too few for one task"):
        list(make_units(work, out, "part", [3], engine(f"{address},num_gpus=1")))
    with pytest.raises(ConfigError, match="num_cpus or num_gpus must be positive"):
        list(make_units(work, out, "part", [3], engine(f"{address},num_cpus=0")))


def test_a_wrong_address_is_one_sentence(tmp_path: Path) -> None:
    ray.shutdown()
    for wrong, error in (("host", ConfigError), ("auto", SourceError)):
        with pytest.raises(error, match=f"--address {wrong}: "):
            list(make_units(work_in(tmp_path / wrong)[0], tmp_path, "part", [0], engine(wrong)))
