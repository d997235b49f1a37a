"""The chain as users write it, in bash, on real files."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from support import TINY, Command

SHIM = Path(sys.executable).with_name("iodine-kit")


@pytest.mark.slow
def test_the_chain_runs_in_bash_with_no_further_argument(tmp_path: Path) -> None:
    settings = " ".join(f"'{part}'" for part in TINY)
    script = f"""
        set -euo pipefail
        iodine-kit prepare tetrominoes --generate 40 --set dataset.cell=2 &&
        iodine-kit train --set train.steps=3 {settings} && iodine-kit infer && iodine-kit eval --metric ari
        M=$(iodine-kit report)
        test -f "$M/index.html"
        iodine-kit eval --metric ari --json > eval.json
    """
    environment = {**os.environ, "PATH": f"{SHIM.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split("/")[1] for line in lines] == ["dataset", "run", "predictions", "evaluation"]
    assert "using dataset data/dataset/tetrominoes-" in done.stderr and "\x1b" not in done.stderr
    result = json.loads((tmp_path / "eval.json").read_text())
    assert result["artifact"] == lines[-1]
    assert result["metrics"]["ari"]["n"] + result["metrics"]["ari"]["undefined"] == 4


# Sends itself a signal right after its first checkpoint: an interruption at a known moment, without waiting.
INTERRUPTED = """
import os, signal, sys
from iodine_kit.cli import main
from iodine_kit.training.checkpoint import CheckpointManager
save = CheckpointManager.save
def save_and_stop(*arguments):
    save(*arguments)
    CheckpointManager.save = save
    os.kill(os.getpid(), int(os.environ["SIGNAL"]))
CheckpointManager.save = save_and_stop
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "step"), [(signal.SIGINT, 130, 3), (signal.SIGTERM, 130, 3), (signal.SIGKILL, -9, 2)]
)
def test_an_interrupted_run_goes_on_and_ends_as_if_nothing_had_happened(
    iodine_kit: Command, tmp_path: Path, number: signal.Signals, status: int, step: int
) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 30, "--set", "dataset.cell=2")
    train = ["train", *TINY, "--set", "train.steps=6", "--set", "train.checkpoint_every=2"]
    run = tmp_path / iodine_kit(*train).stdout.strip()
    names = ("weights.safetensors", "metrics.jsonl")
    expected = [(run / name).read_bytes() for name in names]
    shutil.rmtree(run)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SIGNAL": str(int(number))}
    stopped = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *train],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == status, stopped.stderr
    assert not run.exists()
    beside = iodine_kit(*train, "--set", "train.learning_rate=0.5", "--set", "train.max_seconds=1e-9", status=75)
    assert "is not resumed (train.learning_rate: 0.001 -> 0.5)" in " ".join(beside.stderr.split())
    assert f"resuming after step {step}" in iodine_kit(*train).stderr
    again = iodine_kit(*train)
    assert "up to date" in again.stderr and "trained" not in again.stderr
    assert [(run / name).read_bytes() for name in names] == expected


def test_the_genuine_file_becomes_hdf5(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    done = iodine_kit("prepare", "tetrominoes", "--source", mini, "--split", "train=10", "--format", "hdf5")
    with h5py.File(tmp_path / done.stdout.strip() / "train.h5") as file:
        assert file["image"].shape == (10, 35, 35, 3) and file["mask"].shape == (10, 35, 35)
        assert (file["factors/shape"][:, 0] == 0).all() and file["factors/color"].shape == (10, 4, 3)
    again = iodine_kit("prepare", "tetrominoes", "--source", mini, "--split", "train=10", "--format", "hdf5")
    assert again.stdout == done.stdout and "up to date" in again.stderr


def test_records_of_a_file_go_to_the_splits_in_the_order_given(iodine_kit: Command, mini: Path) -> None:
    splits = ["--split", "train=6", "--split", "val=2", "--split", "test=2"]
    done = iodine_kit("prepare", "tetrominoes", "--source", mini, *splits, "--json")
    assert json.loads(done.stdout)["splits"] == {"train": 6, "val": 2, "test": 2}
    reversed_splits = ["--split", "test=2", "--split", "val=2", "--split", "train=6"]
    other = iodine_kit("prepare", "tetrominoes", "--source", mini, *reversed_splits, "--json")
    assert json.loads(other.stdout)["artifact"] != json.loads(done.stdout)["artifact"]


def test_a_generated_split_does_not_depend_on_the_others(iodine_kit: Command, tmp_path: Path) -> None:
    few = iodine_kit(
        "prepare", "tetrominoes", "--generate", 5, "--split", "train=2", "--split", "test=3"
    ).stdout.strip()
    many = iodine_kit(
        "prepare", "tetrominoes", "--generate", 12, "--split", "train=9", "--split", "test=3"
    ).stdout.strip()
    assert few != many
    assert (tmp_path / few / "test.h5").read_bytes() == (tmp_path / many / "test.h5").read_bytes()
    other_seed = iodine_kit(
        "prepare", "tetrominoes", "--generate", 5, "--seed", 1, "--split", "train=2", "--split", "test=3"
    )
    assert (tmp_path / other_seed.stdout.strip() / "test.h5").read_bytes() != (tmp_path / few / "test.h5").read_bytes()


@pytest.mark.slow
def test_the_command_in_a_report_makes_the_same_report(iodine_kit: Command, tmp_path: Path) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 20, "--set", "dataset.cell=2")
    iodine_kit("train", *TINY, "--set", "train.steps=1")
    iodine_kit("infer")
    iodine_kit("eval")
    settings = [
        "--set",
        'report.title=It\'s "here"',
        "--set",
        "report.scenes=1",
        "--set",
        "report.published.ari=99.2 ± 0.4 %",
    ]
    first = iodine_kit("report", *settings).stdout.strip()
    lineage = (tmp_path / first / "report.md").read_text("utf-8")
    command = next(line.strip() for line in lineage.splitlines() if line.strip().startswith("iodine-kit report"))
    again = iodine_kit(*shlex.split(command)[1:])
    assert again.stdout.strip() == first and "up to date" in again.stderr


@pytest.mark.slow
def test_train_takes_the_newest_data_set_that_fits(iodine_kit: Command) -> None:
    fitting = iodine_kit("prepare", "tetrominoes", "--generate", 20, "--set", "dataset.cell=2").stdout.strip()
    iodine_kit("prepare", "tetrominoes", "--generate", 4, "--set", "dataset.cell=2", "--split", "only=4")
    assert f"using dataset {fitting}" in iodine_kit("train", *TINY, "--set", "train.steps=1").stderr


@pytest.mark.slow
def test_an_interrupted_run_resumes_whatever_else_was_interrupted(iodine_kit: Command, tmp_path: Path) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 20, "--set", "dataset.cell=2")
    train = ["train", *TINY, "--set", "train.steps=3"]
    iodine_kit(*train, "--set", "train.seed=1", "--set", "train.max_seconds=1e-9", status=75)
    stopped = iodine_kit(*train, "--set", "train.max_seconds=1e-9", status=75)
    assert "resuming" not in stopped.stderr
    finished = iodine_kit(*train)
    assert "resuming after step 1" in finished.stderr
    manifest = tmp_path / finished.stdout.strip() / "manifest.json"
    manifest.write_text("{}")
    assert "rebuild it with --overwrite" in iodine_kit(*train, status=11).stderr
    assert iodine_kit(*train, "--overwrite").stdout == finished.stdout


@pytest.mark.slow
def test_training_by_a_pipeline_file_takes_a_data_set_of_the_files_kind(iodine_kit: Command, tmp_path: Path) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 20, "--set", "dataset.cell=2")
    (tmp_path / "other.toml").write_text('[prepare]\ndataset = "multi-dsprites"\n[train]\nsteps = 1\n')
    refused = iodine_kit("train", "--pipeline", "other.toml", *TINY, status=10)
    assert "has no data set 'multi-dsprites', which the pipeline file needs" in " ".join(refused.stderr.split())
