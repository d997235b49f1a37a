"""A reader that ends early (``iodine-kit list | head``) changes neither the work nor its exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, typer
from pathlib import Path
from iodine_kit.cli import app as module
from iodine_kit.errors import BelowThresholdError

@module.app.command("work")
def work(status: int = 0, err: bool = False) -> None:
    for i in range(20_000):
        typer.echo("x" * 100, err=err)
    Path("done").write_text("all")
    if status == 17:
        raise BelowThresholdError("worse")

sys.argv = ["iodine-kit", *sys.argv[1:]]
module.main()
"""


def piped(arguments: list[str], folder: Path, *, close_stderr: bool) -> tuple[int, str]:
    """Run with a pipe whose reader closes at once; the exit status, and what the other stream received."""
    reader, writer = os.pipe()
    other = {"stdout" if close_stderr else "stderr": subprocess.PIPE}
    closed = {"stderr" if close_stderr else "stdout": writer}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], cwd=folder, text=True, **other, **closed)
    os.close(writer)
    os.read(reader, 10)
    os.close(reader)
    texts = process.communicate(timeout=60)
    return process.returncode, texts[0] or texts[1] or ""


@pytest.mark.parametrize("close_stderr", [False, True])
@pytest.mark.parametrize("status", [0, 17])
def test_the_work_is_finished_and_its_status_kept(close_stderr: bool, status: int, tmp_path: Path) -> None:
    arguments = ["work", "--status", str(status), *(["--err"] if close_stderr else [])]
    returned, other = piped(arguments, tmp_path, close_stderr=close_stderr)
    assert returned == status and (tmp_path / "done").read_text() == "all"
    assert other == ("error: worse\n" if status and not close_stderr else "")


def test_head_ends_quietly(tmp_path: Path) -> None:
    command = f"{sys.executable} -m iodine_kit config train | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.split() == ["[train]", "0"] and done.stderr == ""


def test_output_to_a_file_is_complete(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "iodine_kit", "config", "train", "--json"],
        stdout=(tmp_path / "keys.json").open("wb"), check=True, cwd=tmp_path,
    )  # fmt: skip
    text = (tmp_path / "keys.json").read_text("utf-8")
    assert done.returncode == 0 and text.startswith("[{") and text.endswith("}]\n")
