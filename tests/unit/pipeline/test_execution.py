"""What is tried before the first stage of a pipeline runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from iodine_kit.cli.app import app
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


def test_nothing_is_planned_after_the_first_stage_that_needs_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []

    def plan_once(node: Node, *_: Any) -> tuple[Planned, None]:
        planned.append(node.role)
        return Planned(node.role, "missing", ""), None

    monkeypatch.setattr(sys.modules[plan_graph.__module__], "plan_node", plan_once)
    members = expand({**TABLES, "matrix": {"prepare.generate": [20, 30]}})
    context = Context(Store(tmp_path), engine=EngineConfig(address="tcp://host:1"))
    with pytest.raises(ConfigError, match="has no address"):
        try_engine(build_graph(members), context, select(members[0].tables))
    assert planned == ["dataset"]


def test_a_number_of_workers_that_a_cluster_does_not_use_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text('[prepare]\ndataset = "tetrominoes"\ngenerate = 20\n', "utf-8")
    noted = "--workers 4 has no effect: the cluster of --engine {} has its own workers"
    for engine, number, said in (("ray", 4, True), ("dask", 4, True), ("ray", 1, False), ("local", 4, False)):
        options = ["run", str(file), "--dry-run", "--engine", engine, "--workers", str(number)]
        done = CliRunner().invoke(app, [*options, "--store", str(tmp_path)])
        assert done.exit_code == 0 and (noted.format(engine) in done.stderr) == said


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
    (made.path / "train.h5").unlink()
    problem = r"unlisted is not listed .* is missing; move what is not listed .*, and rebuild it with --force prepare$"
    with pytest.raises(ArtifactCorruptError, match=problem) as refused:
        run({}, tmp_path, until="prepare")
    assert planned(tmp_path).status == "damaged" and str(planned(tmp_path).problem) == str(refused.value)


def test_a_dry_run_prints_the_plan_before_it_refuses_a_damaged_manifest(made: Artifact, tmp_path: Path) -> None:
    manifest, file = made.path / "manifest.json", tmp_path / "tiny.toml"
    manifest.write_text(manifest.read_text("utf-8").replace('"version": ', '"version": 9'), "utf-8")
    file.write_text('[prepare]\ndataset = "tetrominoes"\ngenerate = 20\n[train]\nsteps = 2\n', "utf-8")
    options = ["run", str(file), "--dry-run", "--store", str(tmp_path)]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 11 and "manifest was altered; rebuild it with --force prepare" in done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()][:2] == [["damaged", "dataset"], ["waiting", "run"]]
    rows = json.loads(CliRunner().invoke(app, [*options, "--json"]).stdout)
    assert [row["status"] for row in rows][:2] == ["damaged", "waiting"]
    checked = json.loads(CliRunner().invoke(app, ["check", str(file), "--store", str(tmp_path), "--json"]).stdout)
    assert checked["stages"][0]["status"] == "damaged" and checked["problems"][0]["status"] == 11
    assert [(one["command"], one["role"]) for one in checked["stages"]] == [
        (one["command"], one["role"]) for one in rows
    ]
    forced = CliRunner().invoke(app, [*options, "--force", "prepare"])
    assert forced.exit_code == 0 and forced.stdout.startswith("stale    dataset      it is damaged, and is to be")


def test_a_remedy_makes_no_artifact_of_other_members_again(tmp_path: Path) -> None:
    def again(*names: str, **tables: Any) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for node in build_graph(expand({**TABLES, **tables}, names=names)):
            found.setdefault(node.role, []).append(node.again)
        return found

    assert again()["run"] == ["--force train"]
    seeds = again(matrix={"seeds": [1, 2]})
    assert seeds["dataset"] == ["--force prepare"]
    assert seeds["run"] == ["--force train --member seed=1", "--force train --member seed=2"]
    assert again("seed=2", matrix={"seeds": [1, 2]})["dataset"] == ["--force prepare --member seed=2"]
    named = again(matrix={"report.title": ["a b", "c"]})
    assert named["run"] == ["--force train"] and named["report"][0] == "--force report --member 'title=a b'"


def test_a_plan_shows_that_a_damaged_artifact_is_made_again_as_the_run_does(made: Artifact, tmp_path: Path) -> None:
    (made.path / "manifest.json").write_text("{")
    assert planned(tmp_path).status == "damaged"
    shown = planned(tmp_path, force=["prepare"])
    assert (shown.status, shown.because) == ("stale", "it is damaged, and is to be overwritten")
    assert run({}, tmp_path, until="prepare", force=["prepare"])
