"""The benchmarks of training and inference: the shapes are what they say, a quick run works, figures become a page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, str(BENCHMARKS / program), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shape(seconds: float) -> dict[str, Any]:
    """Figures that are easy to reckon with: the port takes twice the time, thrice the work, four times the memory."""

    def variant(times: int) -> dict[str, Any]:
        memory = {"before": 10**8, "peak": 10**8 + times * times * 50 * 10**6}
        return {
            "wall": [seconds * times, seconds * times + 9, seconds * times / 2], "cpu": [2.0],
            "flops": (2 * times - 1) * 10**11, "first": 30.0 * times, "precision": "float32",
            "memory": {"usual": memory, "returned": memory}, "estimate": 49_600_000 if times == 1 else None,
        }  # fmt: skip

    return {
        "date": "2020-02-02", "commit": "abc", "command": "python benchmarks/train_step.py", "size": 35, "batch": 8,
        "slots": 4, "steps": 5, "bare convolution": {"float32": {"wall": [1.0], "cpu": [1.0], "flops": 10**11}},
        "variants": {"plain": variant(1), "port": variant(2)},
    }  # fmt: skip


def result(**shapes: Any) -> dict[str, Any]:
    machine = {"device": "Abacus", "processor": "Abacus", "cores": 2, "threads": 1, "software": ["torch 9"]}
    return {"program": "train_step", "machine": machine, "shapes": shapes}


def cells(page: str, start: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.replace(" ", "").startswith(f"|{start}|")
    ]


def test_the_page_is_reckoned_from_the_measurements(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(result(small=shape(2.0))))
    run("tables.py", tmp_path)
    page = (tmp_path / "README.md").read_text("utf-8")
    assert "## Training: Abacus, 1 threads" in page
    assert "Bare convolution: float32 100 GFLOP/s." in page
    plain, beside = cells(page, "plain")
    assert plain[1:] == ["2.000 (1.000)", "30.0", "2.000", "4.00", "100.0", "50", "50%", "50", "50", "50", "150"]
    assert beside[1:] == ["2.00", "4.00", "0.33", "0.25", "0.25"]


def test_a_later_run_replaces_only_the_shapes_that_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from _measure import write_result

    write_result(tmp_path, result(small=shape(2.0), large=shape(3.0)))
    path = write_result(tmp_path, result(small=shape(5.0)))
    assert path.name == "train_step-abacus-1-threads.json"
    found = json.loads(path.read_text())["shapes"]
    assert {name: found[name]["variants"]["plain"]["wall"][0] for name in found} == {"small": 5.0, "large": 3.0}


@pytest.mark.slow
@pytest.mark.parametrize("program", ["train_step", "infer"])
def test_a_quick_run_measures_and_writes(program: str, tmp_path: Path) -> None:
    run(f"{program}.py", "--quick", "--threads", 1, "--output", tmp_path, "--variants", "closed form")
    (path,) = tmp_path.glob("*.json")
    variants = json.loads(path.read_text())["shapes"]["minute"]["variants"]
    assert list(variants) == ["closed form"]
    for one in variants.values():
        assert len(one["wall"]) == 1
        assert one["flops"] > 0
        assert one["memory"]["usual"]["peak"] >= one["memory"]["usual"]["before"] > 0
