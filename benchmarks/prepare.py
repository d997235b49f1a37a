"""CPU time of ``iodine-kit prepare`` on files like DeepMind's, and the memory it takes.

One worker, uncompressed HDF5, so that neither a codec nor several cores hide anything. Each run is a process of its
own. What a run takes whatever the file's length (start-up, and a contact sheet of 24 scenes) is measured with a file
of 24 records and subtracted; what is left is compared with inflating the same records by the standard library's zlib.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from _measure import (
    Peak,
    cpu_seconds,
    in_turn,
    inflate,
    parser,
    print_facts,
    print_table,
    run_child,
    spread,
    verdict,
)
from _published import ALL, Published

MOST_TIMES_INFLATING, MOST_MEMORY = 2, 500_000_000
_MINUTE, _LONGER = 24, 4
_HEAD = ("prepare", "records/s", "ms/record", "× inflating", "MB, short file", f"MB, {_LONGER} times as long")


def main() -> None:
    """Print one table."""
    options = parser(__doc__, repetitions=5)
    given = options.parse_args()
    print_facts()
    repetitions = 1 if given.quick else given.repetitions
    rows, verdicts = [], list[str]()
    with TemporaryDirectory() as folder:
        for published in ALL:
            records = published.records // (4 if given.quick else 1)
            bench = Bench(published, records, Path(folder))
            for crop in [False, True] if published.name == "clevr" else [False]:
                row, told = bench.measure(crop, repetitions)
                rows.append(row)
                verdicts.append(told)
    print_table(_HEAD, rows)
    print("\n".join(verdicts))


class Bench:
    """Three files of one data set: a minute one, a short one and a long one."""

    def __init__(self, published: Published, records: int, folder: Path) -> None:
        self._published, self._folder = published, folder
        self._counts = {"minute": _MINUTE, "short": records, "long": _LONGER * records}
        self._files = {name: self._write(name) for name in self._counts}
        self._memory: dict[str, list[int]] = {name: [] for name in self._counts}

    def measure(self, crop: bool, repetitions: int) -> tuple[list[str], str]:
        """A row of the table, and how it compares with the targets."""
        works = {name: lambda name=name: self._prepare(name, crop) for name in self._files}
        taken = in_turn({**works, "inflate": self._inflate}, repetitions)
        further = self._counts["long"] - _MINUTE
        each = [(long - start) / further for long, start in zip(taken["long"], taken["minute"], strict=True)]
        floor = median(taken["inflate"]) / self._counts["long"]
        ratios = [time / floor for time in each]
        short, long = (median(self._memory.pop(name)) for name in ("short", "long"))
        self._memory = {name: [] for name in self._counts}
        name = self._published.name + (", cropped to 128×128" if crop else "")
        rates = [spread([1 / time for time in each]), spread([1000 * time for time in each], 3)]
        row = [name, *rates, spread(ratios, 2), f"{short / 1e6:,.0f}", f"{long / 1e6:,.0f}"]
        time = verdict(median(ratios), MOST_TIMES_INFLATING, most=True)
        return row, f"{name}: time {time}; memory {verdict(long / 1e6, MOST_MEMORY / 1e6, most=True)} MB"

    def _prepare(self, name: str, crop: bool) -> float:
        with TemporaryDirectory(dir=self._folder) as store:
            dataset, source, count = self._published.name, str(self._files[name]), self._counts[name]
            options = ["--source", source, "--split", f"train={count}", "--store", store, "--workers", "1"]
            command = [
                sys.executable,
                "-m",
                "iodine_kit",
                "prepare",
                dataset,
                *options,
                *["--set", "preprocess.crop=none"] * (not crop),
            ]
            peak: Peak = run_child(command)
        self._memory[name].append(peak.memory)
        return peak.seconds

    def _inflate(self) -> float:
        return cpu_seconds(lambda: inflate(self._files["long"]))

    def _write(self, name: str) -> Path:
        return self._published.write(self._folder / f"{self._published.name}-{name}.tfrecords", self._counts[name])


if __name__ == "__main__":
    main()
