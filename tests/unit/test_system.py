"""How long idle threads wait, and which features of the CPU are detected."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from iodine_kit import system
from iodine_kit.engines import local
from iodine_kit.pipeline import side_by_side
from iodine_kit.pipeline_check.work import threads_of
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.resources import precision_hint

CPU = torch.device("cpu")


def test_the_command_line_limits_waiting_threads_before_torch_is_imported() -> None:
    program = """
import os, sys
from iodine_kit import cli
import iodine_kit.cli.app as app
app.app = lambda: print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
cli.main()
"""
    free = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    for given, expected in (
        ({}, system.SPIN_COUNT),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "x"}, "None"),
    ):
        done = subprocess.run([sys.executable, "-c", program], env={**free, **given}, capture_output=True, text=True)
        assert done.stdout.split() == [expected, "False"], done.stderr


@pytest.mark.parametrize(("flags", "units"), [("fpu amx_tile amx_bf16 avx512f", True), ("fpu avx512_bf16", False)])
def test_matrix_units_are_detected_by_the_flags_of_the_cpu(
    flags: str, units: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t: none\n")
    monkeypatch.setattr(system, "_CPU_INFO", tmp_path / "cpuinfo")
    assert system.has_bfloat16_matrix_units() is units
    assert ("bfloat16" in precision_hint(TrainConfig(), CPU)) is units
    assert precision_hint(TrainConfig(precision="bfloat16"), CPU) == ""
    assert precision_hint(TrainConfig(), torch.device("cuda")) == ""


@pytest.mark.parametrize(
    ("flags", "slow"), [("fpu avx512f avx2", True), ("fpu avx512_bf16", False), ("amx_bf16", False)]
)
def test_a_cpu_that_emulates_bfloat16_is_detected(
    flags: str, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(system, "_CPU_INFO", tmp_path / "cpuinfo")
    assert ("float32 is faster" in precision_hint(TrainConfig(precision="bfloat16"), CPU)) is slow


def test_a_machine_without_information_on_its_cpu_has_no_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_CPU_INFO", tmp_path / "nothing")
    assert not system.has_bfloat16_matrix_units() and not system.emulates_bfloat16()


def test_processes_share_the_cores_that_they_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of a batch system with 4 of 64 cores."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 5, 6, 7}, raising=False)
    monkeypatch.setattr(local.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(local, "_exit_with", lambda stop: None)
    monkeypatch.setattr(os, "environ", {})
    assert side_by_side.environments(2, names_a_gpu=True) == [{"OMP_NUM_THREADS": "2"}] * 2
    assert threads_of(SimpleNamespace(threads=0, execution={})) == 4  # type: ignore[arg-type]
    local.start_worker(4, None)
    assert os.environ["OMP_NUM_THREADS"] == "1"
