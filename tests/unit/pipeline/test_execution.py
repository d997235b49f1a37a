"""What is tried before the first stage of a pipeline runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from iodine_kit.engines import EngineConfig
from iodine_kit.errors import ArtifactCorruptError, ConfigError
from iodine_kit.pipeline import Node, Planned, build_graph, expand, plan_graph, run_members, select
from iodine_kit.pipeline.execution import try_engine
from iodine_kit.runner import Context
from iodine_kit.store import Artifact, Store

TABLES: dict[str, Any] = {"prepare": {"dataset": "tetrominoes", "generate": 20}, "train": {"steps": 2}}


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


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    """The data set of ``TABLES``."""
    return next(iter(run({"prepare": TABLES["prepare"]}, tmp_path, until="prepare").values()))


def run(
    tables: dict[str, Any], folder: Path, until: str | None = None, force: Sequence[str] = ()
) -> dict[Node, Artifact]:
    members = expand({**TABLES, **tables})
    found, failed = run_members(build_graph(members), Context(Store(folder)), select(members[0].tables, until, force))
    for error in failed.values():
        raise error
    return found


def planned(folder: Path, force: Sequence[str] = ()) -> Planned:
    members = expand(TABLES)
    return plan_graph(build_graph(members), Context(Store(folder)), select(members[0].tables, force=force))[0]


def test_a_plan_refuses_what_the_run_refuses_and_names_the_same_remedy(made: Artifact, tmp_path: Path) -> None:
    (made.path / "unlisted").touch()
    for act in (lambda: planned(tmp_path), lambda: run({}, tmp_path, until="prepare")):
        with pytest.raises(ArtifactCorruptError, match=r"unlisted is not listed .*; rebuild it with --force prepare$"):
            act()


def test_a_plan_shows_that_a_damaged_artifact_is_made_again_as_the_run_does(made: Artifact, tmp_path: Path) -> None:
    (made.path / "manifest.json").write_text("{")
    with pytest.raises(ArtifactCorruptError, match="rebuild it"):
        planned(tmp_path)
    shown = planned(tmp_path, force=["prepare"])
    assert (shown.status, shown.because) == ("stale", "it is damaged, and is to be overwritten")
    assert run({}, tmp_path, until="prepare", force=["prepare"])
