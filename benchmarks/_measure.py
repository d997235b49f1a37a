"""What all benchmarks share: facts of the machine, CPU time of calls and of whole processes, and tables.

Time is the CPU's, user and system together, which other work on the machine disturbs less than it does the clock on the
wall. What is compared is run in turn, again and again, so that a slow minute meets all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
_COMPRESSED, _INFLATED = 1 << 16, 1 << 18


@dataclass(frozen=True)
class Peak:
    """What a process took: CPU seconds, and its largest resident memory in bytes."""

    seconds: float
    memory: int


def parser(doc: str | None, repetitions: int) -> argparse.ArgumentParser:
    """Options of every benchmark; ``doc`` is its docstring."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="a few records, to see that it works")
    made.add_argument("--repetitions", type=int, default=repetitions, help=f"of everything (default: {repetitions})")
    return made


def print_facts() -> None:
    """Print the date and what the figures depend on."""
    python = f"Python {platform.python_version()}, numpy {np.__version__}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, {platform.system()}")
    print(f"{python}, zlib {zlib.ZLIB_RUNTIME_VERSION}, {_zlib_ng()}\n")


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = process_time()
    work()
    return process_time() - start


def in_turn(works: Mapping[str, Callable[[], float]], repetitions: int) -> dict[str, list[float]]:
    """What each of some measurements returns, taken in turn; the first turn warms up and does not count."""
    turns = [{name: work() for name, work in works.items()} for _ in range(repetitions + 1)]
    return {name: [turn[name] for turn in turns[1:]] for name in works}


def run_child(command: Sequence[str]) -> Peak:
    """Run a command to its end; raises RuntimeError with its last words if it fails."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        words = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {words.decode(errors='replace')[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Peak(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def inflate(path: Path) -> None:
    """Inflate a GZIP file with the standard library's zlib and do nothing with the bytes: the floor of all reading."""
    stream = zlib.decompressobj(31)
    with path.open("rb") as file:
        while pending := file.read(_COMPRESSED):
            while pending:
                stream.decompress(pending, _INFLATED)
                pending = stream.unconsumed_tail


def spread(values: Sequence[float], digits: int = 0) -> str:
    """``median (least to most)``."""
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table whose columns are aligned."""
    print(markdown_table(head, rows), flush=True)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned, with an empty line after it."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    cells = ((cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def machine_facts(device: str, threads: int) -> dict[str, Any]:
    """What the figures of something made of PyTorch depend on."""
    import torch

    name = _processor() if device == "cpu" else torch.cuda.get_device_name(device)
    software = [f"Python {platform.python_version()}", f"torch {torch.__version__}", platform.system()]
    cores = os.cpu_count()
    return {"device": name, "processor": _processor(), "cores": cores, "threads": threads, "software": software}


def origin() -> dict[str, str]:
    """When, from which commit and by which command something is measured."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    for place in [index + 1 for index, word in enumerate(words) if word in ("--port", "--output")]:
        words[place] = "DIR"  # where it lies on this machine is nobody's business
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    return {"date": date, "commit": _commit(), "command": f"python benchmarks/{shlex.join(words)}"}


def write_result(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write a result as JSON, named for its program and machine; shapes that an earlier run measured there stay."""
    machine = result["machine"]
    name = f"{result['program']} {machine['device']} {machine['threads']} threads"
    path = folder / f"{re.sub('[^a-z0-9_]+', '-', name.lower())}.json"
    folder.mkdir(parents=True, exist_ok=True)
    earlier = json.loads(path.read_text("utf-8"))["shapes"] if path.exists() else {}
    merged = {**result, "shapes": {**earlier, **result["shapes"]}}
    path.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def verdict(value: float, target: float, *, most: bool = False) -> str:
    """A figure beside its target: at least so much, or at ``most``."""
    met = value <= target if most else value >= target
    return f"{'met' if met else 'missed'} ({'≤' if most else '≥'} {target:g})"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """The commit at hand, and whether the tree differs from it."""
    try:
        words = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        done = subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _zlib_ng() -> str:
    try:
        from zlib_ng import zlib_ng
    except ImportError:
        return "no zlib-ng"
    return f"zlib-ng {zlib_ng.ZLIBNG_VERSION}"
