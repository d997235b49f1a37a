"""Training and inference on two ranks as users start them, ``torchrun … -m iodine_kit``, against one process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support import TINY, Command

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
_SETTINGS = ("train.steps=6", "train.log_every=1", "train.checkpoint_every=4", "train.tensorboard=false")
TRAIN = ["train", *TINY, *(part for value in _SETTINGS for part in ("--set", value))]
Torchrun = Callable[..., subprocess.CompletedProcess[str]]

# Rank 1 is told to end while it reads its part of the fourth batch: at a known moment, without waiting.
ENDED = """
import os, signal
from iodine_kit.cli import main
from iodine_kit.loader import ShuffledBatches
read = ShuffledBatches.batch
def read_and_end(batches, step):
    if step == 3 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    return read(batches, step)
ShuffledBatches.batch = read_and_end
main()
"""
# Every unit of inference is one batch, and the rank that is to segment batch number LOST is killed.
LOST = """
import os, signal
from iodine_kit.cli import main
from iodine_kit.stages.infer import segment
segment.WORK_OF_A_UNIT, infer_batch = 1, segment.infer_batch
def infer_or_die(model, images, number, options):
    if os.environ.get("LOST") == str(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return infer_batch(model, images, number, options)
segment.infer_batch = infer_or_die
main()
"""
# Rank 1 is started with more arguments than rank 0.
ASTRAY = """
import os, sys
from iodine_kit.cli import main
if os.environ["RANK"] == "1":
    sys.argv += os.environ["ASTRAY"].split()
main()
"""


@pytest.fixture
def torchrun(tmp_path: Path) -> Torchrun:
    """Run the command line, or a ``program`` that ends in it, on two ranks in ``tmp_path``."""

    def run(*arguments: object, program: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        start = ["-m", "iodine_kit"]
        if program:
            (tmp_path / "program.py").write_text(program)
            start = ["program.py"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **variables}
        return subprocess.run(
            [*TORCHRUN, *start, *map(str, arguments)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The errors that are ours; torchrun adds a summary of its own."""
    return [line for line in done.stderr.splitlines() if line.startswith(("error:", "interrupted:"))]


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def is_close(run: Path, expected: Path) -> None:
    """In float32, sums over two ranks are rounded otherwise than over one batch: 2e-5 of each value, 1e-6 at least."""
    weights, others = load_file(run / "weights.safetensors"), load_file(expected / "weights.safetensors")
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        np.testing.assert_allclose(value, others[name], rtol=2e-5, atol=1e-6, err_msg=name)
    assert [row.keys() for row in rows(run)] == [row.keys() for row in rows(expected)]
    for row, other in zip(rows(run), rows(expected), strict=True):
        for key, value in row.items():
            np.testing.assert_allclose(value, other[key], rtol=2e-5, atol=1e-6, err_msg=f"{key}, step {row['step']}")


@pytest.mark.slow
def test_two_ranks_train_what_one_process_trains_and_go_on_after_one_was_told_to_end(
    iodine_kit: Command, torchrun: Torchrun, tmp_path: Path
) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 30, "--set", "dataset.cell=2")
    path = iodine_kit(*TRAIN).stdout.strip()
    alone, together = tmp_path / "alone", tmp_path / "together"
    (tmp_path / path).rename(alone)
    train = [*TRAIN, "--set", "train.accumulate=2"]

    done = torchrun(*train)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{path}\n" and done.stderr.count("using dataset") == 1  # the first rank alone talks
    is_close(tmp_path / path, alone)
    ranks = [json.loads((run / "manifest.json").read_text())["facts"]["ranks"] for run in (alone, tmp_path / path)]
    assert ranks == [1, 2]
    (tmp_path / path).rename(together)

    stopped = torchrun(*train, program=ENDED)
    assert stopped.returncode != 0 and stopped.stdout == "" and not (tmp_path / path).exists()
    (sentence,) = said(stopped)
    assert re.fullmatch(r"interrupted: stopped after step [1-5]; run the same command again to resume", sentence)

    done = torchrun(*train)
    assert done.returncode == 0 and done.stderr.count("resuming after step") == 1, done.stderr
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (tmp_path / path / name).read_bytes() == (together / name).read_bytes()


@pytest.mark.slow
def test_ranks_that_disagree_say_on_what_in_one_sentence(
    iodine_kit: Command, torchrun: Torchrun, tmp_path: Path
) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 30, "--set", "dataset.cell=2")
    done = torchrun(*TRAIN, program=ASTRAY, ASTRAY="--set train.batch_size=8")
    assert said(done) == [
        "error: rank 1 has another configuration than rank 0 (train.batch_size: 4 -> 8): start all ranks with the same "
        "command on the same data and code"
    ]
    assert done.stdout == "" and not list(tmp_path.glob("data/run/*"))


@pytest.mark.slow
def test_a_warm_start_gives_every_rank_the_same_weights(
    iodine_kit: Command, torchrun: Torchrun, tmp_path: Path
) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 30, "--set", "dataset.cell=2")
    first = iodine_kit(*TRAIN, "--set", "train.seed=5").stdout.strip()
    path = iodine_kit(*TRAIN, "--from", first).stdout.strip()
    (tmp_path / path).rename(tmp_path / "alone")
    done = torchrun(*TRAIN, "--from", first)
    assert done.returncode == 0 and done.stdout == f"{path}\n", done.stderr
    is_close(tmp_path / path, tmp_path / "alone")


@pytest.mark.slow
def test_two_ranks_share_the_units_of_inference_and_resume_after_one_was_lost(
    iodine_kit: Command, torchrun: Torchrun, tmp_path: Path
) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 30, "--set", "dataset.cell=2")
    iodine_kit(*TRAIN)
    infer = ["infer", "--set", "infer.split=train", "--set", "infer.batch_size=2"]
    path = iodine_kit(*infer).stdout.strip()
    expected = (tmp_path / path / "predictions.h5").read_bytes()
    (tmp_path / path).rename(tmp_path / "alone")

    lost = torchrun(*infer, program=LOST, LOST="5")  # rank 1 makes the units 1, 3 and 5
    assert lost.returncode != 0 and lost.stdout == "" and not (tmp_path / path).exists()
    (sentence,) = said(lost)
    assert sentence.endswith("; run the same command again to resume")
    (line,) = [line for line in iodine_kit("list").stdout.splitlines() if line.startswith("interrupted")]
    assert "data/predictions/" in line and "infer: repeat the command to resume" in line

    done = torchrun(*infer, program=LOST)
    assert done.returncode == 0 and done.stdout == f"{path}\n", done.stderr
    assert done.stderr.count("resuming the interrupted predictions/") == 1
    assert (tmp_path / path / "predictions.h5").read_bytes() == expected
    assert sorted(file.name for file in (tmp_path / path).iterdir()) == ["manifest.json", "predictions.h5"]
