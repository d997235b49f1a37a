"""Asking whether an artifact is being made must not look like making it."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from iodine_kit.errors import ResumeError
from iodine_kit.store.locks import LOCKS, is_locked, lock_name, locked


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Of an artifact that was made once, so that its lock exists."""
    directory = tmp_path / "run" / "r-0123456789ab"
    with locked(directory):
        pass
    return directory


def lock_of(directory: Path) -> Path:
    return directory.parents[1] / LOCKS / lock_name(directory)


def test_processes_that_ask_at_once_do_not_see_each_other(directory: Path) -> None:
    with lock_of(directory).open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert not is_locked(directory)
        with locked(directory.with_name("other-0123456789ab")):
            assert not is_locked(directory)


def test_work_begins_although_another_process_is_asking_at_that_moment(directory: Path) -> None:
    with lock_of(directory).open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        answered = threading.Timer(0.05, lambda: fcntl.flock(asking, fcntl.LOCK_UN))
        answered.start()
        with locked(directory):
            assert is_locked(directory)
        answered.join()


def test_work_is_refused_while_another_process_works(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iodine_kit.store.locks.GRACE", 0.0)
    with (
        locked(directory),
        pytest.raises(ResumeError, match="another process is making this artifact; wait until it ends"),
        locked(directory),
    ):
        pass
    assert not is_locked(directory)
