"""What many tests share: the genuine file, small stores, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support import Command
from warm import AVAILABLE, WarmProcess

from iodine_kit.registry import third_party

DATA = Path(__file__).parent / "data"

settings.register_profile("quiet", deadline=None, print_blob=False)  # machines here are noisy: no time limits
settings.load_profile("quiet")


@pytest.fixture(scope="session")
def mini() -> Path:
    """Ten genuine records of DeepMind's Tetrominoes."""
    return DATA / "tetrominoes_mini.tfrecords"


WARM = WarmProcess()


@pytest.fixture(autouse=True)
def no_plugins_of_other_tests() -> Iterator[None]:
    """Forget plug-ins of a test that are no package: workers of a later test would have to have the same."""
    before = set(third_party)
    yield
    third_party.intersection_update(before)


@pytest.fixture
def iodine_kit(tmp_path: Path) -> Command:
    """Run the command line in ``tmp_path``, with its store there."""

    def run(*arguments: object, status: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        command = [sys.executable, "-m", "iodine_kit", *map(str, arguments)]
        if AVAILABLE and not options.pop("cold", False):
            done = WARM.run(command[3:], tmp_path, environment)
        else:
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
        assert done.returncode == status, f"{command} ended in {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    return run
