"""Work of units for tests, in a module that worker processes can import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iodine_kit.engines import EngineConfig
from iodine_kit.errors import CountError
from iodine_kit.units import make_units


@dataclass(frozen=True)
class Work:
    """Writes the number into the file of a unit, and an empty file into ``marks`` whenever it begins a unit.

    Attributes:
        marks: folder that counts how often each unit was begun.
        deadly: number of times that a unit kills its process, by unit.
        refused: units that end in an error.
        impossible: units that end in an error of third-party code.
    """

    marks: Path
    deadly: tuple[tuple[int, int], ...] = ()
    refused: tuple[int, ...] = ()
    impossible: tuple[int, ...] = ()

    def __call__(self, number: int, path: Path) -> None:
        begun = self.begun(number)
        (self.marks / f"{number}-{begun}").touch()
        path.write_text(f"half of {number}")
        if begun < dict(self.deadly).get(number, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if number in self.refused:
            raise CountError(f"unit {number} is refused")
        if number in self.impossible:
            raise ZeroDivisionError(number)
        path.write_text(f"unit {number}")

    def begun(self, number: int) -> int:
        """How often a unit was begun."""
        return len(list(self.marks.glob(f"{number}-*")))


def work_in(folder: Path, **trouble: object) -> tuple[Work, Path]:
    """Work, and the folder of its units, below ``folder`` as in a store."""
    out = folder / "kind" / ".draft.partial"
    out.mkdir(parents=True)
    (folder / "marks").mkdir()
    return Work(folder / "marks", **trouble), out  # type: ignore[arg-type]


@dataclass(frozen=True)
class Deadly:
    """The work of a stage; the process that begins its first unit is killed, once, and leaves the file ``mark``."""

    work: Callable[[int, Path], None]
    mark: Path

    def __call__(self, number: int, path: Path) -> None:
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            self.work(number, path)
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def assert_only_the_lost_unit_is_made_again(engine: EngineConfig, folder: Path) -> None:
    """Make six units on an engine, one of which kills its worker once."""
    work, out = work_in(folder, deadly=((1, 1),))
    paths = list(make_units(work, out, "part", range(6), engine))
    assert [path.read_text() for path in paths] == [f"unit {number}" for number in range(6)]
    assert [work.begun(number) for number in range(6)] == [1, 2, 1, 1, 1, 1]
    assert sorted(out.iterdir()) == paths
