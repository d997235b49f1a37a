"""Records per CPU second from files like DeepMind's to scenes: image, index mask, factors; every checksum verified.

Beside it, how fast the standard library's zlib inflates the same file and does nothing else, and with --tensorflow how
fast TensorFlow reads it as the official readers do, to arrays whose masks are still one per entity.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from _measure import cpu_seconds, in_turn, inflate, parser, print_facts, print_table, spread, verdict
from _published import ALL, Published

from iodine_kit.layouts import multi_object_datasets as layout
from iodine_kit.tfrecord import compression

TARGETS = {"clevr": 10, "multi-dsprites": 4, "tetrominoes": 5}
"""How many times as fast as TensorFlow."""
_READER = Path(__file__).with_name("_tensorflow_reader.py")
_OURS, _STANDARD, _FLOOR, _THEIRS = "iodine-kit", "iodine-kit, standard zlib", "inflating only", "TensorFlow"


def main() -> None:
    """Print a table for each data set."""
    options = parser(__doc__, repetitions=7)
    options.add_argument("--tensorflow", metavar="PYTHON", help="a Python that has TensorFlow, to compare with")
    given = options.parse_args()
    print_facts()
    with TemporaryDirectory() as folder:
        for published in ALL:
            records = published.records // 10 if given.quick else published.records
            path = published.write(Path(folder) / f"{published.name}.tfrecords", records)
            compare(published, path, records, given.tensorflow, 1 if given.quick else given.repetitions)


def compare(published: Published, path: Path, records: int, tensorflow: str | None, repetitions: int) -> None:
    """Read a file in every way and print what came of it."""
    with ExitStack() as stack:
        works: dict[str, Callable[[], float]] = {_OURS: lambda: cpu_seconds(lambda: read(published, path))}
        if compression._zlib is not zlib:
            works[_STANDARD] = lambda: cpu_seconds(lambda: read_with_standard_zlib(published, path))
        works[_FLOOR] = lambda: cpu_seconds(lambda: inflate(path))
        if tensorflow:
            works[_THEIRS] = stack.enter_context(Reader(tensorflow, published, path)).seconds
        taken = in_turn(works, repetitions)
    print(f"{published.name}: {records:,} records of {path.stat().st_size // records:,} bytes")
    rows = [[name, spread([records / time for time in times]), *ratios(taken, times)] for name, times in taken.items()]
    print_table(["to arrays by", "records/s", "× inflating", "× TensorFlow"], rows)
    if tensorflow:
        ratio = median(taken[_THEIRS]) / median(taken[_OURS])
        print(f"{ratio:.1f} times TensorFlow: {verdict(ratio, TARGETS[published.name])}\n")


def ratios(taken: dict[str, list[float]], times: list[float]) -> list[str]:
    """How many times as long as inflating, and how many times as fast as TensorFlow."""
    theirs = f"{median(taken[_THEIRS]) / median(times):.1f}" if _THEIRS in taken else ""
    return [f"{median(times) / median(taken[_FLOOR]):.2f}", theirs]


def read(published: Published, path: Path) -> None:
    """Read every record of a file to a scene."""
    config, expected = layout.Config(), published.expected
    for item in layout.items([path], expected, config):
        layout.scenes(item, item.place, expected, config)


def read_with_standard_zlib(published: Published, path: Path) -> None:
    """The same as if the extra ``fast`` were not installed."""
    fast, compression._zlib = compression._zlib, zlib
    try:
        read(published, path)
    finally:
        compression._zlib = fast


class Reader:
    """A process that reads a file with TensorFlow, as often as asked."""

    def __init__(self, python: str, published: Published, path: Path) -> None:
        features = {name: [np.dtype(spec.dtype).name, spec.shape] for name, spec in published.fields.items()}
        command = [python, "-E", str(_READER), str(path), json.dumps(features)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def seconds(self) -> float:
        """CPU seconds of reading the file once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if not answer:
            raise RuntimeError(f"{self._process.args[0]} cannot read with TensorFlow; has it got it?")
        return float(answer[1])


if __name__ == "__main__":
    main()
