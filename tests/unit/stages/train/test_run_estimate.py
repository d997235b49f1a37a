"""train --estimate: the same figures as the function's, the tables of training heeded, and nothing made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import TINY, Command

from iodine_kit.config import Values
from iodine_kit.errors import ConfigError
from iodine_kit.models import iodine
from iodine_kit.stages.train.run_estimate import estimate
from iodine_kit.training.config import TrainConfig, TrainExecution

NET: Values = {
    "slots": 3, "steps": 2, "latent": 4, "decoder": {"channels": [8, 8]},
    "refinement": {"channels": [8, 8], "mlp": [16], "lstm": 16},
}  # fmt: skip


def foretell(train: Values | None = None, execution: Values | None = None) -> Any:
    config = TrainConfig(**{"batch_size": 4, **(train or {})})
    return estimate(iodine, iodine.Config(**NET), config, TrainExecution(**(execution or {})), 24, 24)


def test_what_saves_memory_is_foretold_to_save_it() -> None:
    usual, parts, again = foretell(), foretell(execution={"accumulate": 4}), foretell(execution={"recompute": True})
    assert parts.activation_bytes < 0.35 * usual.activation_bytes
    assert parts.batch_size == usual.batch_size == 4
    assert again.activation_bytes < 0.8 * usual.activation_bytes
    assert again.flops > usual.flops


def test_copies_of_the_weights_are_foretold() -> None:
    plain, copies = foretell(), foretell({"ema": 0.99, "validate_every": 9, "select": "best-elbo"})
    assert (plain.average_bytes, plain.mirror_bytes, plain.best_bytes) == (0, 0, 0)
    assert copies.average_bytes == 4 * plain.parameters  # float32
    assert copies.mirror_bytes == copies.best_bytes == plain.weight_bytes
    assert copies.peak_bytes - plain.peak_bytes == copies.copy_bytes


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="accumulate"):
        foretell(execution={"accumulate": 3})


@pytest.mark.slow
def test_the_command_prints_the_estimate_and_makes_nothing(iodine_kit: Command, tmp_path: Path) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 40, "--set", "dataset.cell=2")
    before = sorted(path for path in (tmp_path / "data").rglob("*") if path.is_file())
    done = iodine_kit("train", "--estimate", "--json", *TINY)
    found = json.loads(done.stdout)
    assert found["batch_size"] == 4
    assert found["flops"] == 4 * found["flops_per_image"] > 0
    assert found["checkpoint_bytes"] < found["disk_bytes"] < found["peak_bytes"]
    table = iodine_kit("train", "--estimate", *TINY).stdout
    assert f"{found['parameters']:,}" in table
    assert "at the peak" in table
    assert sorted(path for path in (tmp_path / "data").rglob("*") if path.is_file()) == before


MEASURED = """
from iodine_kit.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
import torch
from iodine_kit.training.resources import peak_bytes
print("peak", peak_bytes(torch.device("cpu")))
"""


@pytest.mark.slow
def test_the_memory_of_the_process_is_what_is_then_seen(iodine_kit: Command, tmp_path: Path) -> None:
    """Within 20 %: of a real run's largest resident memory, libraries and all."""
    iodine_kit("prepare", "tetrominoes", "--generate", 40)
    chosen = ["train.batch_size=8", "train.steps=2", "train.tensorboard=false", "train.recompute=true"]
    arguments = ["train", *(part for setting in chosen for part in ("--set", setting))]
    foretold = json.loads(iodine_kit(*arguments, "--estimate", "--json").stdout)["process_bytes"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert foretold == pytest.approx(int(done.stdout.split("peak ")[1]), rel=0.2)
