"""Units of work: parts of a stage that are made independently of each other, each into a file of its own.

A unit is named by its number. Its file is complete as soon as it has its name, ``stem-number-hash.unit``: the hash is
that of its bytes. So an interrupted stage finds what is finished, and a unit whose worker was lost is made again alone.
The files are in the directory of the draft, which all workers have to reach.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import chain
from operator import length_hint
from pathlib import Path

from iodine_kit.engines import ENGINES, EngineConfig
from iodine_kit.progress import Reporter, Silent
from iodine_kit.units.crew import Crew
from iodine_kit.units.files import SUFFIX, Work, finished_units, make_unit, pattern
from iodine_kit.units.shared_process import KeptOpen, working_in
from iodine_kit.units.worker import Order

__all__ = ["SUFFIX", "KeptOpen", "Work", "finished_units", "make_unit", "make_units", "pattern", "working_in"]


def make_units(
    work: Work,
    directory: Path,
    stem: str,
    numbers: Iterable[int],
    engine: EngineConfig,
    reporter: Reporter | None = None,
) -> Generator[Path, None, None]:
    """Yield the file of every unit in the order of ``numbers``; those that are not finished are made.

    The caller may delete a file as soon as it has it. Closing the iterator cancels what is not finished.

    Args:
        work: picklable: a function of a module, or a frozen dataclass that can be called.
        stem: begins the names of the files.
        numbers: may be endless; it is read as far as work is submitted.

    Raises:
        ConfigError: if the address is wrong, the engine lacks its extra, or workers have another version.
        SourceError: if the cluster cannot be reached, has no workers, or its connection was lost.
        StorageError: if the worker of a unit was lost several times, or workers cannot see ``directory``.
        IodineKitError: the first error of a unit, in the order of the numbers.
    """
    finished, rest = finished_units(directory, stem), iter(numbers)
    for number in rest:
        if number not in finished:
            break
        yield finished[number]
    else:
        return
    directory = directory.absolute()
    with ENGINES.load(engine.name).open(engine, directory) as running:
        crew = Crew(running, Order(work, directory, stem), engine.name, reporter or Silent())
        yield from crew.make(chain([number], rest), finished, 1 + length_hint(rest))
