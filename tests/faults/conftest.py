"""The commands that tests of faults hit, in a folder that they copy; made once for all test processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults.forked_commands import Commands
from faults.stage_commands import StageCommands
from filelock import FileLock


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    with Commands() as commands:
        yield commands


@pytest.fixture(scope="session")
def stages(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> StageCommands:
    folder = tmp_path_factory.getbasetemp().parent / f"faults-{tmp_path_factory.getbasetemp().name.split('popen')[0]}"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        return StageCommands(commands, folder, workers=False)
