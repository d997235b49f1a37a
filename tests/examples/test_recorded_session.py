"""The session of docs/pipelines.md does what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import WARM
from examples.recorded_session import BLOCK, PAGE, commands, run, session, shape

STEPS = [step for block in BLOCK.findall(session(PAGE.read_text("utf-8"))) for step in commands(block)]


@pytest.mark.slow
def test_every_command_of_the_session_prints_what_the_page_shows(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    printed = run([command for command, _ in STEPS], folder, WARM)
    for (command, shown), lines in zip(STEPS, printed, strict=True):
        assert shape(lines) == shape(shown), f"{command}: run tests/examples/recorded_session.py to record it again"
