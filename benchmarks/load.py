"""Scenes per CPU second through the loader, one process and one thread: random batches of images and masks.

64×64 are sprites; 128×128 are noisy pictures, as rendered ones are, and take as long to decode.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from _measure import cpu_seconds, in_turn, parser, print_facts, print_table, spread, verdict
from _published import ALL

from iodine_kit.errors import ConfigError
from iodine_kit.formats import hdf5, webdataset, write_split
from iodine_kit.loader import ShuffledBatches
from iodine_kit.preprocessing import PreprocessConfig, preprocess
from iodine_kit.records import Scene

FORMATS: dict[str, tuple[Any, Any]] = {
    "PNG shards": (webdataset, webdataset.Config()),
    "HDF5": (hdf5, hdf5.Config()),
    "HDF5, gzip": (hdf5, hdf5.Config(compression="gzip")),
    "HDF5, blosc": (hdf5, hdf5.Config(compression="blosc")),
}
TARGETS = {("PNG shards", 64): 5_000, ("HDF5", 64): 10_000}
BATCHES = 32, 64
_CROP = PreprocessConfig(crop="iodine", size=128)


def main() -> None:
    """Print a table for each size of image."""
    given = parser(__doc__, repetitions=7).parse_args()
    print_facts()
    for size, count in ((64, 2048), (128, 512)):
        scenes = draw(size, count // 8 if given.quick else count)
        with TemporaryDirectory() as folder:
            report(size, scenes, Path(folder), 1 if given.quick else given.repetitions)


def draw(size: int, count: int) -> list[Scene]:
    """Scenes of one size."""
    clevr, sprites = ALL[0], ALL[1]
    if size == 64:
        return list(sprites.scenes(count))
    return [preprocess(scene, _CROP) for scene in clevr.scenes(count)]


def report(size: int, scenes: Sequence[Scene], folder: Path, repetitions: int) -> None:
    """Write scenes in every format, read them in random batches, and print how fast that was."""
    works: dict[str, Callable[[], float]] = {}
    for name, (plugin, config) in FORMATS.items():
        (folder / name).mkdir()
        try:
            write_split(plugin, folder / name, "train", scenes, config)
        except ConfigError as error:
            print(f"{name} is left out: {error}\n")
            continue
        for batch in BATCHES:
            works[f"{name}|{batch}"] = epoch(plugin.open_split(folder / name, "train"), batch)
    taken = in_turn(works, repetitions)
    rates = {key: [len(scenes) / time for time in times] for key, times in taken.items()}
    rows = [[*key.split("|"), spread(values), told(key, size, median(values))] for key, values in rates.items()]
    print(f"{size}×{size}, {len(scenes):,} scenes")
    print_table(["format", "batch", "scenes/s", "target"], rows)


def epoch(reader: Any, batch: int) -> Callable[[], float]:
    """A measurement of an epoch; its order of scenes is drawn before the clock starts."""
    batches = ShuffledBatches(reader, batch, seed=0)
    batches.indices(0)

    def measure() -> float:
        return cpu_seconds(lambda: [batches.batch(step) for step in range(len(reader) // batch)])

    return measure


def told(key: str, size: int, rate: float) -> str:
    """Whether the target is met, where there is one."""
    target = TARGETS.get((key.partition("|")[0], size))
    return verdict(rate, target) if target else ""


if __name__ == "__main__":
    main()
