"""The benchmark of the report: a quick run works, and its figures become a part of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.benchmarks.test_engine import result, run


def test_figures_of_the_report_become_a_part_of_the_page(tmp_path: Path) -> None:
    shape: dict[str, Any] = {
        "date": "2020-02-02", "commit": "abc", "command": "python benchmarks/report.py", "size": 128, "batch": 256,
        "slots": 7, "steps": 5, "scenes": 320, "shown": 300, "page": [17.0, 18.0, 99.0], "figures": [3.0, 1.0, 4.0],
        "bytes": 15_500_000, "opened": [0.5, 1.5, 9.0],
    }  # fmt: skip
    (tmp_path / "one.json").write_text(json.dumps({**result(), "program": "report", "shapes": {"128": shape}}))
    run("tables.py", tmp_path)
    page = (tmp_path / "README.md").read_text("utf-8")
    assert "320 scenes, of which 300 are on the page" in page
    assert "Written in 18.0 s, its figures in 3.0 s: missed (≤ 20). 15.5 MB: missed (≤ 15)." in page
    assert "Opened in 1.50 (0.50 to 9.00) s: met (≤ 2)." in page


@pytest.mark.slow
def test_a_quick_run_writes_a_page() -> None:
    assert "8 scenes, of which 8 are on the page" in run("report.py", "--quick")
