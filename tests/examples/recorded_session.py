"""The recorded session of docs/pipelines.md: run its commands in an empty folder, and compare or write what they print.

``PYTHONPATH=tests python tests/examples/recorded_session.py`` runs it, and writes the output into the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from warm import WarmProcess

PAGE = Path(__file__).parents[2] / "docs" / "pipelines.md"
TITLE = "## One session, from an empty folder\n"
BLOCK = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
_END = "--- end of output ---"


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that it printed. A line with ``>`` continues a command."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> "):
            found[-1] = (found[-1][0] + "\n" + line[2:], [])
        else:
            found[-1][1].append(line)
    return found


def session(page: str) -> str:
    """The section of the page with the session."""
    section = page.split(TITLE)[1]
    return section.split("\n## ")[0]


def run(script: list[str], folder: Path, warm: WarmProcess) -> list[list[str]]:
    """Run commands in one shell in a folder; returns the lines that each printed, on both streams."""
    tools = folder.with_name("tools")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("IODINE_KIT_")}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {**inherited, "PATH": path, "COLUMNS": "118", "OMP_NUM_THREADS": "1"}
    lines = "".join(f"{command}\necho; echo '{_END}'\n" for command in script)
    with warm.program(tools):
        done = subprocess.run(
            ["bash"], input=lines, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=600, check=False,
        )  # fmt: skip
    outputs = done.stdout.split(f"\n{_END}\n")
    assert len(outputs) == len(script) + 1, done.stdout
    return [output.strip("\n").splitlines() for output in outputs[:-1]]


def shape(lines: list[str]) -> list[str]:
    """The lines without what differs between machines and days: numbers, hashes, sizes, columns."""
    shaped = []
    for line in lines:
        line = re.sub(r"events\.out\.tfevents\.\S+(?=:)", "events", line)
        line = re.sub(r"\b[0-9a-f]{10,64}\b", "HASH", line)
        line = re.sub(r"[-−+]?\d[\d.,:]*(e-?\d+)?", "N", line)
        line = re.sub(r"N ?(B|kB|MB|GB|KiB|MiB|GiB|ms|s|min|h|d|%)(?=\W|$)", "N", line)
        line = re.sub(r"[─━┄-]{2,}", "--", line)
        shaped.append(" ".join(line.split()))
    return shaped


def write() -> None:
    """Run the session and write what its commands printed into the page."""
    page = PAGE.read_text("utf-8")
    section = session(page)
    blocks = [commands(block) for block in BLOCK.findall(section)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "session")
        folder.mkdir()
        outputs = iter(run([command for block in blocks for command, _ in block], folder, WarmProcess()))
    new = section
    for old, block in zip(BLOCK.findall(section), blocks, strict=True):
        lines = []
        for command, _ in block:
            first, *rest = command.split("\n")
            lines += [f"$ {first}", *(f"> {line}" for line in rest), *next(outputs)]
        new = new.replace(f"```console\n{old}```\n", "```console\n" + "\n".join(lines) + "\n```\n", 1)
    PAGE.write_text(page.replace(section, new), "utf-8")


if __name__ == "__main__":
    write()
