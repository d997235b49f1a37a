"""What is tried before the first stage of a pipeline runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from iodine_kit.engines import EngineConfig
from iodine_kit.errors import ConfigError
from iodine_kit.pipeline import build_graph, expand, select
from iodine_kit.pipeline.execution import try_engine
from iodine_kit.runner import Context
from iodine_kit.store import Store

TABLES = {"prepare": {"dataset": "tetrominoes", "generate": 20}, "train": {"steps": 2}}


def try_(engine: EngineConfig, folder: Path, *only: str) -> None:
    members = expand(TABLES)
    try_engine(build_graph(members), Context(Store(folder), engine=engine), select(members[0].tables, only=only))


def test_an_engine_that_cannot_be_used_ends_a_run_before_its_first_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="--engine ray needs the extra 'ray'"):
        try_(EngineConfig(name="ray"), tmp_path)
    with pytest.raises(ConfigError, match="the engine 'local' has no address"):
        try_(EngineConfig(address="tcp://host:1"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_engine_is_not_tried_for_stages_that_do_not_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    try_(EngineConfig(name="ray"), tmp_path, "train", "report")
    try_(EngineConfig(workers=2), tmp_path)
