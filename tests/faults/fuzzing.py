"""Give readers damaged files: none may end in another error than ours, hang, take much memory, or read wrong data.

Inputs come from atheris, which follows the coverage, where it is installed; otherwise from :func:`mutated`. They are
read in forked processes, because a library in C may crash or loop.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from faults.losses import Losses, Say
from faults.readers_under_test import READERS, ReaderUnderTest

SECONDS = 10
MEMORY = 1 << 30
"""A process may allocate so many bytes more than it did at its start."""
BATCH = 5_000
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)

Number = Callable[[int, int], int]
"""Draws a whole number between two others, both included."""


def mutated(seeds: list[bytes], number: Number) -> tuple[bytes, bool]:
    """A damaged copy of one of the seeds; whether only bits were flipped."""
    data, only_flips = bytearray(seeds[number(0, len(seeds) - 1)]), True
    for _ in range(number(1, 4)):
        kind = number(0, 9)
        at = number(0, max(0, len(data) - 1))
        if kind <= 4 and data:
            data[at] ^= 1 << number(0, 7)
            continue
        only_flips = False
        length = number(1, 64)
        if kind == 5:
            value = _INTERESTING[number(0, len(_INTERESTING) - 1)]
            size = (1, 2, 4, 8)[number(0, 3)]
            data[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, ("little", "big")[number(0, 1)])
        elif kind == 6:
            del data[at:]
        elif kind == 7:
            del data[at : at + length]
        elif kind == 8:
            data[at:at] = data[at : at + length]
        else:
            data[at : at + length] = bytes(number(0, 255) for _ in range(number(0, 8)))
    return bytes(data), only_flips


class Reading:
    """Reads inputs, and counts how that ends."""

    def __init__(self, reader: ReaderUnderTest, folder: Path) -> None:
        self.reader, self.counts, self.lost = reader, Counter[str](), list[str]()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / reader.name
        scratch = folder / "seeds"
        scratch.mkdir(exist_ok=True)
        self.seeds = reader.seeds(scratch)
        shutil.rmtree(scratch)
        self.right = [self._outcome(seed) for seed in self.seeds]

    def _outcome(self, data: bytes) -> Any:
        self.path.write_bytes(data)
        return self.reader.read(self.path)

    def take(self, data: bytes, only_flips: bool = False) -> None:
        """Read one input."""
        from iodine_kit.errors import IodineKitError

        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            values = self._outcome(data)
        except IodineKitError as error:
            self.counts[type(error).__name__] += 1
        except Exception as error:
            if len(self.lost) < 10:
                where = traceback.extract_tb(error.__traceback__)[-1]
                self.lost.append(
                    f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno}): {data.hex()}"
                )
        else:
            self.counts["read"] += 1
            if only_flips and values is not None and values not in self.right:
                self.lost.append(f"wrong data without a word: {data.hex()}")
        signal.setitimer(signal.ITIMER_REAL, 0)

    def report(self) -> dict[str, Any]:
        """What was counted, in JSON types."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        return {"counts": dict(self.counts), "lost": self.lost, "peak": peak}


def memory_disk(scratch: Path) -> Path:
    """A folder whose files are in memory, where there is one: millions of small files are written."""
    memory = Path("/dev/shm")
    return memory / f"iodine-kit-fuzz-{os.getpid()}" if os.access(memory, os.W_OK) else scratch


def fuzz(name: str, count: int, seed: int, scratch: Path, losses: Losses, say: Say) -> None:
    """Read ``count`` damaged files with a reader."""
    counts, peak = Counter[str](), 0
    by_atheris, scratch = find_spec("atheris") is not None, memory_disk(scratch)
    while losses.tried < count:
        first, batch = losses.tried, min(count - losses.tried, count if by_atheris else BATCH)
        run = _with_atheris if by_atheris else _with_mutations
        report = run(name, first, batch, seed, scratch)
        losses.tried += report["done"]
        losses.lost += report["lost"]
        counts.update(report["counts"])
        peak = max(peak, report["peak"])
        if len(losses.lost) > 20:
            break
    shutil.rmtree(scratch, ignore_errors=True)
    losses.notes = [f"{'atheris' if by_atheris else 'own mutations'}, peak {peak} MiB"]
    losses.notes += [f"{what}: {number}" for what, number in counts.most_common()]


def _with_mutations(name: str, first: int, count: int, seed: int, scratch: Path) -> dict[str, Any]:
    """Read inputs in a forked process; the input on which it dies is a loss."""
    folder = scratch / "fuzz"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    reading = Reading(READERS[name], folder / "files")  # before the fork, so that modules are imported once
    process = os.fork()
    if process == 0:
        status = 1
        try:
            _read_batch(reading, name, first, count, seed, folder)
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(process, 0)
    return _collect(name, folder, os.waitstatus_to_exitcode(ended), count)


def _read_batch(reading: Reading, name: str, first: int, count: int, seed: int, folder: Path) -> None:
    _limit()
    done = os.open(folder / "done", os.O_WRONLY | os.O_CREAT)
    for number in range(first, first + count):
        data, only_flips = mutated(reading.seeds, random.Random(f"{name} {seed} {number}").randint)
        os.pwrite(done, str(number - first + 1).encode(), 0)
        reading.take(data, only_flips)
    (folder / "report").write_text(json.dumps(reading.report()), "utf-8")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _collect(name: str, folder: Path, status: int, count: int) -> dict[str, Any]:
    if status == 0:
        return {**json.loads((folder / "report").read_text("utf-8")), "done": count}
    done = int((folder / "done").read_text("ascii") or 1) if (folder / "done").exists() else count
    path = folder / "files" / READERS[name].name
    data = path.read_bytes() if path.exists() else b""
    how = "hangs" if status in (-signal.SIGALRM, 70) else f"the process ended with {status}"
    return {"counts": {}, "lost": [f"{how}: {data.hex()}"], "peak": 0, "done": done}


def _with_atheris(name: str, first: int, count: int, seed: int, scratch: Path) -> dict[str, Any]:
    """Let atheris make the inputs, in a process of its own, because libFuzzer ends it."""
    folder = scratch / "fuzz"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, __file__, name, str(count), str(seed + first + 1), str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    report = _collect(name, folder, 0 if (folder / "report").exists() else ended.returncode or 1, count)
    if report["lost"] and not (folder / "done").exists():
        report["lost"].append(ended.stderr[-500:])
    return report


def _atheris_main(name: str, count: int, seed: int, folder: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["iodine_kit"]):
        import iodine_kit.artifacts.traversals_file
        import iodine_kit.pipeline
        import iodine_kit.store.archive
        import iodine_kit.tensorbundle
        import iodine_kit.tfrecord
        import iodine_kit.training.checkpoint  # noqa: F401
        from iodine_kit.formats import FORMATS
        from iodine_kit.layouts import LAYOUTS
        from iodine_kit.predictions.readers import READERS as PREDICTIONS

        for registry, plugin in ((FORMATS, "hdf5"), (FORMATS, "webdataset"), (LAYOUTS, "oclf")):
            registry.load(plugin)
        for plugin in PREDICTIONS.names():
            PREDICTIONS.load(plugin)
    reading = Reading(READERS[name], folder / "files")
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(reading.seeds):
        (corpus / str(number)).write_bytes(data)
    done, read = os.open(folder / "done", os.O_WRONLY | os.O_CREAT), [0]

    def target(data: bytes) -> None:
        read[0] += 1
        os.pwrite(done, str(read[0]).encode(), 0)
        reading.take(data)
        if read[0] == count:
            (folder / "report").write_text(json.dumps(reading.report()), "utf-8")
            os._exit(0)

    longest = max(1 << 12, 2 * max(map(len, reading.seeds)))
    options = [f"-runs={2 * count}", f"-seed={seed}", f"-max_len={longest}", "-rss_limit_mb=4096", "-timeout=60"]
    atheris.Setup([sys.argv[0], *options, "-verbosity=0", str(corpus)], target)
    _limit()
    atheris.Fuzz()


if __name__ == "__main__":
    _atheris_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
