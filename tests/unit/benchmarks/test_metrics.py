"""The benchmark of metrics: a quick run works, and its figures become a part of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.benchmarks.test_engine import cells, result, run


def test_figures_of_metrics_become_a_part_of_the_page(tmp_path: Path) -> None:
    cpu = {"iodine-kit": [0.004, 0.005, 0.009], "scikit-learn": [0.2, 0.25, 0.3]}
    memory = {"before": 10**8, "first": 2 * 10**8, "last": 2 * 10**8}
    parts = {"ssim": 50.0, "counting pixels": 1.0}
    shape: dict[str, Any] = {
        "date": "2020-02-02", "commit": "abc", "command": "python benchmarks/metrics.py", "size": 128, "batch": 256,
        "slots": 7, "steps": 5, "ari": {"noise": {"scenes": 320, "cpu": cpu, "difference": 1e-16}},
        "all": {"scenes": 10_000, "wall": 61.0, "cpu": 51.0, "parts": parts, "memory": memory},
    }  # fmt: skip
    figures = {**result(), "program": "metrics", "shapes": {"128": shape}}
    (tmp_path / "one.json").write_text(json.dumps(figures))
    run("tables.py", tmp_path)
    page = (tmp_path / "README.md").read_text("utf-8")
    assert cells(page, "noise")[0][1:5] == ["320", "5.0 (4.0 to 9.0)", "250.0 (200.0 to 300.0)", "50, met (≥ 50)"]
    assert "61.0 s by the clock, missed (≤ 60)" in page
    assert "100 MB at the start, 200 MB after the first batch, 200 MB after the last" in page
    assert cells(page, "ssim")[0] == ["ssim", "50.00", "5000.0"]


@pytest.mark.slow
def test_a_quick_run_measures_every_metric() -> None:
    printed = run("metrics.py", "--quick")
    for part in ("countingpixels", "decodes", "ssim", "boundary-f", "noise"):
        assert len(cells(printed, part)) == 1, part
