"""What many tests share: the genuine file, small stores, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

DATA = Path(__file__).parent / "data"
Command = Callable[..., subprocess.CompletedProcess[str]]

settings.register_profile("quiet", deadline=None, print_blob=False)  # machines here are noisy: no time limits
settings.load_profile("quiet")


@pytest.fixture(scope="session")
def mini() -> Path:
    """Ten genuine records of DeepMind's Tetrominoes."""
    return DATA / "tetrominoes_mini.tfrecords"


@pytest.fixture
def iodine_kit(tmp_path: Path) -> Command:
    """Run the command line in ``tmp_path``, with its store there."""

    def run(*arguments: object, status: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        command = [sys.executable, "-m", "iodine_kit", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == status, f"{command} ended in {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    return run


TINY_MODEL = {
    "slots": 4,
    "steps": 1,
    "latent": 3,
    "likelihood": "weighted-mean-gaussian",
    "likelihood_scale": 0.1,
    "gradient_reduction": "per-image",
    "decoder": {"kernel": 3, "channels": [4]},
    "refinement": {"kernel": 3, "channels": [4], "mlp": [4], "lstm": None},
}
TINY = [
    "--set", "train.batch_size=4", "--set", "model.steps=1", "--set", "model.latent=3", "--set", "model.decoder.kernel=3",
    "--set", "model.decoder.channels=[4]", "--set", "model.refinement.channels=[4]", "--set", "model.refinement.mlp=[4]",
    "--set", "model.gradient_reduction='per-image'",
]  # fmt: skip
