"""A run that is killed by SIGKILL at any moments, and resumed, ends with the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from unit.training.toy_model import result

TESTS = Path(__file__).parents[2]


RUNS = 8


@pytest.mark.slow
def test_a_run_that_is_killed_repeatedly_ends_like_the_uninterrupted_one(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}
    command = [sys.executable, Path(__file__).with_name("killed_processes.py"), tmp_path, str(RUNS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sum(map(int, done.stdout.split())) >= 3 * RUNS  # most are killed several times
    whole = result(tmp_path / "whole")
    assert len(whole) == 4  # weights, log and two batches
    for run in range(RUNS):
        assert result(tmp_path / str(run)) == whole
