"""Processes of this machine: only the task of a killed one is lost, and none outlives its parent."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from units_of_work import work_in

from iodine_kit.engines import EngineConfig
from iodine_kit.errors import ConfigError, CountError, StorageError
from iodine_kit.units import finished_units, make_units

TWO = EngineConfig(workers=2)


def test_only_the_unit_of_a_killed_process_is_made_again(tmp_path: Path) -> None:
    work, out = work_in(tmp_path, deadly=((1, 2),))
    paths = list(make_units(work, out, "part", range(6), TWO))
    assert [path.read_text() for path in paths] == [f"unit {number}" for number in range(6)]
    assert [work.begun(number) for number in range(6)] == [1, 3, 1, 1, 1, 1]
    assert sorted(out.iterdir()) == paths  # no temporary file of a killed process is left


def test_errors_and_a_unit_that_kills_every_process_are_one_sentence(tmp_path: Path) -> None:
    work, out = work_in(tmp_path, deadly=((4, 9),), refused=(1,), impossible=(2,))
    with pytest.raises(CountError, match=r"^unit 1 is refused$"):
        list(make_units(work, out, "part", range(3), TWO))
    with pytest.raises(RuntimeError, match=r"in a worker process:\n(.*\n)*ZeroDivisionError: 2"):
        list(make_units(work, out, "part", [0, 2], TWO))
    with pytest.raises(StorageError, match=r"^the worker of unit 4 was lost 3 times, possibly because its memory was"):
        list(make_units(work, out, "part", [3, 4], TWO))
    assert set(finished_units(out, "part")) == {0, 3}


def test_an_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the engine 'local' has no address"):
        list(make_units(print, tmp_path, "part", [0], EngineConfig(address="tcp://host:1")))  # type: ignore[arg-type]


SCRIPT = """
import os, sys, time
from pathlib import Path
from iodine_kit.engines import EngineConfig
from iodine_kit.units import make_units

def wait(number, path):
    print(os.getpid(), flush=True)
    time.sleep(600)

if {guard}:
    list(make_units(wait, Path(sys.argv[1]), "part", range(2), EngineConfig(workers=2)))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard='__name__ == "__main__"'))
    with subprocess.Popen(
        [sys.executable, script, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        assert len({parent.stdout.readline() for _ in range(2)}) == 2
        parent.send_signal(number)
        parent.communicate(timeout=60)  # ends when the last process that holds the pipe has ended


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard="True"))
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True)
    assert "StorageError: the worker processes cannot start: guard the calling script" in done.stderr.splitlines()[-1]
