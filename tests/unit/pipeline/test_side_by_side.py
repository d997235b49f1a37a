"""How the processes of members are started, and what is known of one that was lost."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import typer

from iodine_kit.cli.app import app
from iodine_kit.cli.run import _for_segment
from iodine_kit.engines import EngineConfig
from iodine_kit.errors import RankLostError
from iodine_kit.pipeline import build_graph, expand, file, load, select, side_by_side
from iodine_kit.pipeline.child import Child
from iodine_kit.pipeline.side_by_side import environments, segments
from iodine_kit.runner import Context
from iodine_kit.store import Store

TABLES: dict[str, Any] = {"prepare": {"dataset": "tetrominoes", "generate": 20}, "train": {"steps": 2}, "probe": {}}


def test_segments_hold_what_the_same_members_share_and_nothing_twice() -> None:
    nodes = build_graph(expand(TABLES, ["eval.convention=exclude,deepmind", "probe.folds=2,3"]))
    found = segments(nodes, select(TABLES))
    assert [(one.label, one.roles) for one in found[:2]] == [
        ("all 4 members", ["dataset", "run", "predictions"]), ("2 members", ["evaluation"]),
    ]  # fmt: skip
    assert [node for one in found for node in one.nodes] != [] and sum(len(one.nodes) for one in found) == len(nodes)
    for one in found:
        owners = [other for node in one.inputs() for other in found if node in other.nodes]
        assert all(set(one.members) < set(other.members) for other in owners)


def test_a_process_gets_its_stages_and_the_options_of_the_command() -> None:
    nodes, selection = build_graph(expand(TABLES, ["seeds=1,2"])), select(TABLES, force=["train"])
    engine = EngineConfig(name="dask", address="tcp://host:8786", workers=3)
    context = Context(Store(Path("s")), overwrite=True, engine=engine)
    run: Any = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    first, second, _ = ([*_for_segment(one, selection, context)] for one in segments(nodes, selection))
    given = run.make_context("run", ["p.toml", *second]).params
    repeated = {key: list(given[key]) for key in ("member", "only", "force")}  # a tuple in older versions of Typer
    assert repeated == {
        "member": ["seed=1"], "only": ["train", "infer", "eval", "probe", "report"], "force": ["train"],
    }  # fmt: skip
    assert {key: given[key] for key in ("engine", "address", "workers", "overwrite")} == {
        "engine": "dask", "address": "tcp://host:8786", "workers": 3, "overwrite": True,
    }  # fmt: skip
    assert "--engine" in first and "--force" not in first
    assert "--engine" not in _for_segment(segments(nodes, selection)[0], selection, Context(Store(Path("s"))))


def test_processes_share_the_cores_and_take_turns_on_several_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 8)
    monkeypatch.setattr(side_by_side, "_gpus", lambda: ["4", "6"])
    assert environments(3, names_a_gpu=False) == [
        {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": name} for name in ("4", "6", "4")
    ]
    assert environments(9, names_a_gpu=True) == [{"OMP_NUM_THREADS": "1"}] * 9
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setattr(side_by_side, "_gpus", lambda: ["0"])
    assert environments(2, names_a_gpu=False) == [{}, {}]


def test_a_process_that_is_killed_fails_all_of_its_members() -> None:
    lines: list[str | None] = []
    child = Child(["run", "p", "--json"], "p", TABLES, {}, lines.append)
    child.stop(signal.SIGKILL)
    failed = child.wait()
    assert isinstance(failed[""], RankLostError) and "was ended by SIGKILL" in str(failed[""])
    assert lines[-1] is None


def test_a_process_works_with_the_tables_of_its_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And not with a file that was edited in the meantime, or deleted."""
    monkeypatch.setitem(file.snapshots, str(tmp_path / "gone.toml"), TABLES)
    tables = load(str(tmp_path / "gone.toml"), ["train.steps=3"])
    assert tables["train"]["steps"] == 3 and TABLES["train"]["steps"] == 2
