"""What a worker keeps open from one unit to the next, and where it works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from iodine_kit.units import KeptOpen, working_in


def test_what_is_opened_serves_the_next_unit_of_the_same_key_and_is_closed_before_another() -> None:
    events = list[str]()

    def opener(name: str) -> Callable[[], str]:
        def open_() -> str:
            events.append(f"open {name}")
            return name

        return open_

    kept: KeptOpen[str, str] = KeptOpen(lambda opened: events.append(f"close {opened}"))
    for name in "aab":
        with kept.use(name, opener(name)) as opened:
            assert opened == name
    kept.close()
    kept.close()
    assert events == ["open a", "close a", "open b", "close b"]


def test_what_cannot_be_opened_is_not_kept() -> None:
    kept: KeptOpen[str, str] = KeptOpen()

    def fail() -> str:
        raise OSError("no file")

    for _ in range(2):
        with pytest.raises(OSError, match="no file"), kept.use("a", fail):
            pass


@pytest.mark.parametrize("alone", [False, True])
def test_a_thread_of_a_worker_never_gets_what_another_one_opened_for_another_key(alone: bool) -> None:
    """Another thread opens something else at the worst moment: after the keys were compared."""
    kept: KeptOpen[Key, str] = KeptOpen(alone=alone)
    other = list[str]()

    def use_another() -> None:
        with kept.use(Key("b"), lambda: "b") as opened:
            other.append(opened)

    @dataclass(eq=False)
    class Key:
        name: str

        def __eq__(self, other: object) -> bool:
            if threading.current_thread() is threading.main_thread():
                threads.append(threading.Thread(target=use_another))
                threads[-1].start()
                threads[-1].join(0.05 if alone else None)  # it waits for its turn, or it does not have to
            return isinstance(other, Key) and other.name == self.name

        __hash__ = object.__hash__

    threads = list[threading.Thread]()
    for _ in range(2):
        with kept.use(Key("a"), lambda: "a") as opened:
            assert opened == "a"
            assert other == [] or not alone
    threads[0].join()
    assert other == ["b"]


def test_what_is_kept_once_has_one_user_at_a_time() -> None:
    kept: KeptOpen[str, list[int]] = KeptOpen(alone=True)
    most = []

    def use(_: int) -> None:
        with kept.use("a", list) as users:
            users.append(1)
            most.append(len(users))
            users.pop()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(use, range(200)))
    assert set(most) == {1}


def test_the_process_works_in_the_folder_of_the_command_and_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    monkeypatch.chdir(here)
    with working_in(there), working_in(there):
        assert Path.cwd() == there
    assert Path.cwd() == here
    with pytest.raises(FileNotFoundError), working_in(tmp_path / "missing"):
        pass
    with pytest.raises(KeyError), working_in(there):
        raise KeyError
    assert Path.cwd() == here
    here.rmdir()  # a worker that was started in a folder that is gone
    with working_in(there):
        pass
    assert Path.cwd() == there


def test_threads_that_work_elsewhere_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()

    def found(number: int) -> bool:
        with working_in(folders[number % 2]):
            return all(Path.cwd() == folders[number % 2] for _ in range(20))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(found, range(40)))
    assert Path.cwd() == tmp_path
