"""The examples and the documentation of the Python interface run, and print what they say."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PRINTED = {
    "add_a_metric": r"Evaluation of 8 scenes: FG-ARI (0\.9|1\.0).*, Slots in use 3\.0",
    "score_your_masks": r"\| FG-ARI ↑ \| 0\.8",
    "segment_your_pictures": "Segmentation of 6 images, 35×35 pixels: 4 slots, 8 refinement steps",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_prints_its_result(path: Path, tmp_path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 40
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path("examples", path.name))]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(PRINTED[path.stem], done.stdout), done.stdout


def test_pictures_of_any_size_are_segmented(tmp_path: Path) -> None:
    for name, size in {"a.png": (50, 40), "b.JPG": (35, 35), "c.jpeg": (20, 90)}.items():
        Image.new("RGB", size, "red").save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    command = [sys.executable, str(ROOT / "examples" / "segment_your_pictures.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Segmentation of 3 images, 35×35 pixels" in done.stdout and "c.jpeg: pixels of each slot" in done.stdout


def test_the_page_of_the_python_interface_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    session = "\n\n".join(re.findall(r"```pycon\n(.*?)```", page, flags=re.S))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IODINE_KIT_STORE", raising=False)
    test = doctest.DocTestParser().get_doctest(session, {}, "docs/api.md", "docs/api.md", 0)
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert results.attempted > 30 and results.failed == 0
    assert (tmp_path / "segmentation.png").is_file()
