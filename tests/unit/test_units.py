"""Units of work: files in order, found again after an interruption, made again after the loss of a worker."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from iodine_kit.engines import EngineConfig
from iodine_kit.errors import CountError, StorageError
from iodine_kit.units import finished_units, make_units


def _write(number: int, path: Path) -> None:
    path.write_text(f"unit {number}")


def _refuse(number: int, path: Path) -> None:
    if number == 2:
        raise CountError("unit 2 is refused")
    _write(number, path)


def _die_once(marks: Path, number: int, path: Path) -> None:
    """Kill the worker of unit 1 when it is made for the first time."""
    mark = marks / f"{number}-{len(list(marks.glob(f'{number}-*')))}"
    mark.touch()
    if mark.name == "1-0":
        os.kill(os.getpid(), signal.SIGKILL)
    _write(number, path)


def _die(number: int, path: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_units_are_found_again_and_only_missing_or_damaged_ones_are_made(tmp_path: Path) -> None:
    texts = [path.read_text() for path in make_units(_write, tmp_path, "part", range(4), EngineConfig())]
    assert texts == [f"unit {number}" for number in range(4)]
    paths = finished_units(tmp_path, "part")
    paths[1].write_text("altered")
    paths[2].unlink()
    made = []

    def record(number: int, path: Path) -> None:
        made.append(number)
        _write(number, path)

    again = list(make_units(record, tmp_path, "part", range(4), EngineConfig()))
    assert made == [1, 2] and [path.read_text() for path in again] == texts


def test_the_first_error_in_order_is_raised_and_earlier_units_stay(tmp_path: Path) -> None:
    units = make_units(_refuse, tmp_path, "part", range(9), EngineConfig(workers=2))
    with pytest.raises(CountError, match="unit 2 is refused"):
        list(units)
    assert {0, 1} <= set(finished_units(tmp_path, "part"))


def test_a_unit_whose_worker_was_killed_is_made_again(tmp_path: Path) -> None:
    marks, out = tmp_path / "marks", tmp_path / "out"
    marks.mkdir(), out.mkdir()
    units = make_units(partial(_die_once, marks), out, "part", range(3), EngineConfig(workers=2))
    assert [path.read_text() for path in units] == ["unit 0", "unit 1", "unit 2"]
    assert (marks / "1-1").exists()
    assert not list(out.glob("*.tmp"))


def test_a_unit_that_kills_every_worker_ends_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the worker of unit 0 was lost 3 times"):
        list(make_units(_die, tmp_path, "part", range(3), EngineConfig(workers=2)))


def test_endless_numbers_are_read_as_far_as_needed(tmp_path: Path) -> None:
    from itertools import count

    units = make_units(_write, tmp_path, "part", count(), EngineConfig(workers=2))
    assert [next(units).read_text() for _ in range(3)] == ["unit 0", "unit 1", "unit 2"]
    units.close()
