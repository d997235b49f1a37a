"""A command that SIGKILL ends at any file operation leaves nothing half-finished; repeating it makes the same bytes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from faults.kills import kill
from faults.losses import Losses
from faults.stage_commands import StageCommands

KILLS = 20


@pytest.mark.slow
def test_nothing_is_lost_if_a_command_is_killed_at_any_file_operation(stages: StageCommands, tmp_path: Path) -> None:
    losses, number = Losses("kill", "every stage"), 0
    while losses.tried < KILLS:
        one = stages.all[number % len(stages.all)]
        kill(stages, one, random.Random(number), tmp_path, losses)
        number += 1
    assert losses.lost == []
