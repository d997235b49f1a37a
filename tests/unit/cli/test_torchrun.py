"""All commands but train and infer refuse to run on several ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from iodine_kit.cli.app import app


@pytest.mark.parametrize(("rank", "message"), [("0", "error: list does not run on several ranks"), ("1", "")])
def test_other_commands_do_not_run_on_several_ranks(monkeypatch: pytest.MonkeyPatch, rank: str, message: str) -> None:
    for name, value in {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 3 and result.stdout == ""
    assert result.stderr.startswith(message) and bool(message) == bool(result.stderr)


def test_a_process_that_torchrun_started_alone_may_do_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(app, ["list"]).exit_code == 0
