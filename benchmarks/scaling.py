"""The stages that map over units, with one worker and with several: wall-clock time, and where the CPU time is spent.

Every run is a process of its own and makes its artifact again. What is compared runs in turn. Wall-clock time includes
the start of the command and of its workers. The speed-up compares medians; it means little while other work uses the
cores, so the load of the machine is printed. The CPU time, which other work disturbs less, is divided into that of the
command, which is the serial part, and that of its workers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

from _measure import parser, print_facts, print_table, spread
from _published import ALL

_CHILD = """
import json, resource, sys
from iodine_kit.cli import main
sys.argv[0] = "iodine-kit"
try:
    main()
finally:
    used = {}
    for name in ("RUSAGE_SELF", "RUSAGE_CHILDREN"):
        usage = resource.getrusage(getattr(resource, name))
        used[name] = usage.ru_utime + usage.ru_stime
    open("used.json", "w").write(json.dumps(used))
"""
_TINY = [
    f"--set=model.{value}"
    for value in ("steps=2", "latent=4", "decoder.channels=[8]", "refinement.channels=[8]", "refinement.mlp=[8]")
]


@dataclass(frozen=True)
class Taken:
    """Seconds of one run: on the clock, and CPU seconds of the command and of its workers."""

    wall: float
    command: float
    workers: float


def main() -> None:
    """Print one table."""
    options = parser(__doc__, repetitions=3)
    options.add_argument("--workers", type=int, default=2, help="number of workers to compare with one (default: 2)")
    options.add_argument("--scale", type=int, default=1, help="of the works, so that the start of commands counts less")
    options.add_argument("--only", nargs="+", default=[], metavar="WORK", help="beginnings of the rows to measure")
    given = options.parse_args()
    print_facts()
    before, rows = os.getloadavg()[0], []
    with TemporaryDirectory() as folder:
        for name, command in _works(Path(folder), 0.1 if given.quick else given.scale):
            if not given.only or name.startswith(tuple(given.only)):
                taken = _measure(command, Path(folder), (1, given.workers), 1 if given.quick else given.repetitions)
                rows.append([name, *_cells(*taken)])
    print(f"load of the machine before and after: {before:.1f}, {os.getloadavg()[0]:.1f}\n")
    head = ["work", "s, 1 worker", f"s, {given.workers} workers", "speed-up", "CPU s, 1 worker", "command", "workers"]
    print_table(head, rows)


def _works(folder: Path, scale: float) -> list[tuple[str, list[str]]]:
    """Name and command of every work; makes what they need."""
    scenes, records, segmented = (int(count * scale) for count in (2000, 1000, 40))
    clevr = ALL[0].write(folder / "clevr.tfrecords", records)
    splits = (f"--split=train={scenes}", f"--split=test={segmented}")
    data = _run(folder, "prepare", "tetrominoes", f"--generate={scenes + segmented}", *splits)
    train = ("train", f"--dataset={data}", "--set=train.steps=1", "--set=train.batch_size=4")
    tiny, release = _run(folder, *train, *_TINY), _run(folder, *train)
    predictions = _run(folder, "infer", f"--run={tiny}", f"--set=infer.scenes={scenes}", "--set=infer.split=train")
    generate = f"--generate={scenes}"
    return [
        ("prepare, Multi-dSprites generated", ["prepare", "multi-dsprites", generate]),
        ("prepare, CLEVR of one file", ["prepare", "clevr", f"--source={clevr}", f"--split=train={records}"]),
        ("infer, published Tetrominoes model", ["infer", f"--run={release}", f"--set=infer.scenes={segmented}"]),
        ("eval, all metrics", ["eval", f"--predictions={predictions}"]),
        ("probe", ["probe", f"--predictions={predictions}"]),
    ]


def _run(folder: Path, *command: str) -> str:
    """Run a command; returns what it prints."""
    done = subprocess.run([sys.executable, "-c", _CHILD, *command], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr[-2000:]}")
    return done.stdout.strip()


def _measure(command: Sequence[str], folder: Path, workers: Sequence[int], repetitions: int) -> list[list[Taken]]:
    """Run a command with every number of workers in turn."""
    taken: list[list[Taken]] = [[] for _ in workers]
    for _ in range(repetitions):
        for number, results in zip(workers, taken, strict=True):
            start = perf_counter()
            _run(folder, *command, "--overwrite", f"--workers={number}")
            wall = perf_counter() - start
            used = json.loads((folder / "used.json").read_text("utf-8"))
            results.append(Taken(wall, used["RUSAGE_SELF"], used["RUSAGE_CHILDREN"]))
    return taken


def _cells(one: Sequence[Taken], several: Sequence[Taken]) -> list[str]:
    walls = [[taken.wall for taken in results] for results in (one, several)]
    cpu = [[taken.command + taken.workers for taken in one]]
    cpu += [[taken.command for taken in several], [taken.workers for taken in several]]
    speed_up = f"{median(walls[0]) / median(walls[1]):.2f}"
    return [*(spread(values, 1) for values in walls), speed_up, *(spread(values, 1) for values in cpu)]


if __name__ == "__main__":
    main()
