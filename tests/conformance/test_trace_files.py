"""How many files a reader has to open to follow a command; ``benchmarks/trace_files.py`` counts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ["train.steps=1", "train.batch_size=2", "train.threads=1", "model.slots=2", "model.steps=1",
        "model.decoder.channels=[4]", "model.refinement.channels=[4]"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "command", "most"),
    [
        ("adam", ["train", *(part for value in TINY for part in ("--set", value))], 42),
        ("ari", ["eval", "--metric", "ari", "--overwrite"], 30),  # two of them for units of work
    ],
)
def test_a_command_reaches_its_core_within_few_files(
    target: str, command: list[str], most: int, tmp_path: Path
) -> None:
    with tarfile.open(ROOT / "tests" / "data" / "recorded_store.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "trace_files.py", target, *command],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["files"] <= most, done.stderr
