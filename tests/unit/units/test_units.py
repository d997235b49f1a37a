"""Units of work: files in order, each made as often as needed, whatever is lost or interrupted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iodine_kit.engines import ENGINES, EngineConfig, Running
from iodine_kit.errors import ConfigError, CountError, SourceError, StorageError
from iodine_kit.units import crew, finished_units, make_units
from iodine_kit.units.versions import versions

ENGINE = EngineConfig(name="scripted")


def write(number: int, path: Path) -> None:
    path.write_text(f"unit {number}")


class Scripted(Executor):
    """Runs tasks in this process. ``script`` says what happens to each: its worker is lost before, after or in it, …"""

    def __init__(self, script: Iterator[str]) -> None:
        self.script = script

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        fate = next(self.script, "ends")
        try:
            if fate == "lost before":
                raise BrokenProcessPool("before")
            if fate == "closed":
                raise ConnectionError("the client is closed")
            if fate == "interrupted":
                raise KeyboardInterrupt
            if fate.startswith("lost after "):
                order, numbers, again = args
                fn(order, numbers[: int(fate[-1])], again)
                raise BrokenProcessPool(fate)
            future.set_result(fn(*args, **kwargs))
            if fate == "lost after":
                future = Future()
                raise BrokenProcessPool("after")
            if fate == "cancelled":
                future = Future()
                future.cancel()
                future.set_running_or_notify_cancel()  # as Dask does
        except BrokenProcessPool as error:
            future.set_exception(error)
        return future


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the engine 'scripted' follow a script."""

    def follow(script: list[str], **running: Any) -> None:
        fates = iter(script)
        defaults = {"ahead": 2, "is_lost": lambda error: isinstance(error, BrokenProcessPool)}

        @contextmanager
        def opened(config: EngineConfig, directory: Path) -> Iterator[Running]:
            yield Running(Scripted(fates), **{**defaults, **running})

        monkeypatch.setitem(ENGINES._loaded, "scripted", SimpleNamespace(open=opened))  # type: ignore[misc]

    return follow


@settings(max_examples=60)
@given(
    numbers=st.lists(st.integers(0, 30), unique=True, max_size=8),
    script=st.lists(st.sampled_from(["ends", "ends", "lost before", "lost after", "interrupted"]), max_size=20),
    ahead=st.integers(1, 4),
    units=st.integers(1, 3),
    remote=st.booleans(),
)
def test_whatever_is_lost_or_interrupted_the_files_are_the_same_and_no_finished_unit_is_made_again(
    tmp_path_factory: pytest.TempPathFactory,
    numbers: list[int],
    script: list[str],
    ahead: int,
    units: int,
    remote: bool,
) -> None:
    folder, made = tmp_path_factory.mktemp("units"), Counter[int]()
    with pytest.MonkeyPatch.context() as patch:
        play.__wrapped__(patch)(script, ahead=ahead, units=units, remote=remote, tries=99)  # type: ignore[attr-defined]

        def work(number: int, path: Path) -> None:
            made[number] += 1
            write(number, path)

        for _ in range(len(script) + 1):  # as often as a user repeats the command
            try:
                paths = list(make_units(work, folder, "part", numbers, ENGINE))
                break
            except KeyboardInterrupt:
                continue
    assert [path.read_text() for path in paths] == [f"unit {number}" for number in numbers]
    assert made == Counter(numbers)
    assert sorted(folder.iterdir()) == sorted(paths)


def test_missing_or_damaged_units_are_made_again_and_files_of_another_stem_stay(tmp_path: Path) -> None:
    other = list(make_units(write, tmp_path, "part-2", range(2), EngineConfig()))
    first = list(make_units(write, tmp_path, "part", range(4), EngineConfig()))
    first[1].write_text("altered")
    first[2].unlink()
    made = []

    def record(number: int, path: Path) -> None:
        made.append(number)
        write(number, path)

    assert list(make_units(record, tmp_path, "part", range(4), EngineConfig())) == first
    assert made == [1, 2] and first[1].read_text() == "unit 1"
    assert list(finished_units(tmp_path, "part-2").values()) == other


def test_endless_numbers_are_read_as_far_as_needed(tmp_path: Path, play: Callable[..., None]) -> None:
    play([], ahead=3)
    numbers = count()
    units = make_units(write, tmp_path, "part", numbers, ENGINE)
    assert [next(units).read_text() for _ in range(3)] == ["unit 0", "unit 1", "unit 2"]
    units.close()  # type: ignore[attr-defined]
    assert next(numbers) == 5  # 3 units, and 2 tasks that were submitted ahead


def test_a_unit_that_loses_every_worker_ends_in_one_sentence(tmp_path: Path, play: Callable[..., None]) -> None:
    play(["lost before", "ends", "lost before", "lost before"], ahead=2, remedy="because of the test")
    with pytest.raises(StorageError, match=r"^the worker of unit 7 was lost 3 times, because of the test$"):
        list(make_units(write, tmp_path, "part", [7, 8], ENGINE))


def test_a_job_that_finishes_a_unit_before_each_loss_may_be_lost_often(
    tmp_path: Path, play: Callable[..., None]
) -> None:
    play(["lost after 1", "lost after 2", "lost after 3", "lost after 4"], ahead=1, units=5, tries=2)
    made = []

    def record(number: int, path: Path) -> None:
        made.append(number)
        write(number, path)

    assert len(list(make_units(record, tmp_path, "part", range(5), ENGINE))) == len(made) == 5


def test_the_first_error_in_order_is_raised_and_earlier_units_stay(tmp_path: Path, play: Callable[..., None]) -> None:
    play([], ahead=4)

    def refuse(number: int, path: Path) -> None:
        if number in (2, 3):
            raise CountError(f"unit {number} is refused")
        write(number, path)

    with pytest.raises(CountError, match="unit 2 is refused"):
        list(make_units(refuse, tmp_path, "part", range(9), ENGINE))
    assert list(finished_units(tmp_path, "part")) == [0, 1, 4, 5]


def test_a_lost_scheduler_is_one_sentence(tmp_path: Path, play: Callable[..., None]) -> None:
    play(["cancelled"])
    with pytest.raises(SourceError, match="the connection to the cluster of the engine 'scripted' was lost"):
        list(make_units(write, tmp_path, "part", range(3), ENGINE))


@pytest.mark.parametrize("remote", [False, True])
def test_an_engine_that_takes_no_more_tasks_is_one_sentence(
    remote: bool, tmp_path: Path, play: Callable[..., None]
) -> None:
    """A client of Dask closes itself when the scheduler has been gone for half a minute."""
    play(["ends", "closed"], ahead=1, remote=remote)
    units = make_units(write, tmp_path, "part", range(3), ENGINE)
    next(units)
    with pytest.raises(SourceError, match="the connection to the cluster of the engine 'scripted' was lost"):
        next(units)
    assert list(finished_units(tmp_path, "part")) == [0]


def test_workers_with_other_code_or_without_the_files_are_refused(
    tmp_path: Path, play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from iodine_kit.units import crew, worker

    monkeypatch.setattr(worker, "SECONDS_TO_SEE", 0.0)
    play([], remote=True)
    monkeypatch.setattr(crew, "versions", lambda: versions() | {"numpy": "0.9"})
    with pytest.raises(ConfigError, match=r"a worker on .+ has numpy [1-9].*, but this process has numpy 0\.9: "):
        list(make_units(write, tmp_path, "part", range(3), ENGINE))
    monkeypatch.setattr(crew, "versions", versions)
    monkeypatch.setattr(Path, "touch", lambda path: None)  # as on a file system that is not shared
    with pytest.raises(StorageError, match="cannot see this folder: choose a store"):
        list(make_units(write, tmp_path, "part", range(3), ENGINE))


def test_one_slow_unit_stops_no_other_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[Future[Any]] = []

    class Slow(Executor):
        """Finishes the first task when six others were submitted after it."""

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            submitted.append(future)
            if len(submitted) > 1:
                future.set_result(fn(*args, **kwargs))
            else:
                self.first = (fn, args)
            if len(submitted) == 7:
                submitted[0].set_result(self.first[0](*self.first[1]))
            return future

    def check() -> None:
        raise SourceError("nobody submits any more")

    @contextmanager
    def opened(config: EngineConfig, directory: Path) -> Iterator[Running]:
        yield Running(Slow(), ahead=2, check=check)

    monkeypatch.setattr(crew, "SECONDS_PER_CHECK", 0.01)
    monkeypatch.setitem(ENGINES._loaded, "scripted", SimpleNamespace(open=opened))  # type: ignore[misc]
    texts = [path.read_text() for path in make_units(write, tmp_path, "part", range(20), ENGINE)]
    assert texts == [f"unit {number}" for number in range(20)]
