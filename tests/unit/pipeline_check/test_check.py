"""A check names everything that would stop a pipeline, makes nothing, and says what its estimates rest on."""

from __future__ import annotations

import os
import platform
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support import Command

from iodine_kit import pipeline as pipelines
from iodine_kit import pipeline_check
from iodine_kit.errors import IodineKitError
from iodine_kit.pipeline_check import PipelineCheck, check_pipeline
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import prepare, train
from iodine_kit.store import Store
from iodine_kit.store.provenance import provenance

FOLDER = Path(__file__).parents[3] / "pipelines"


def checked(root: Path, *settings: str, name: str = "quickstart") -> PipelineCheck:
    return check_pipeline(pipelines.load(str(FOLDER / f"{name}.toml"), settings), Context(Store(root)))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_pipeline_of_the_folder_passes_and_is_estimated(path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("IODINE_KIT_BLENDER", "true")  # any program: the check starts none
    found = checked(tmp_path / "data", name=path.stem)
    assert found.problems == () and not (tmp_path / "data").exists()
    assert {stage.status for stage in found.stages} == {"missing"}
    for stage in found.stages:
        assert stage.estimate and stage.estimate.seconds and stage.estimate.basis
        assert 0 < stage.estimate.seconds[0] < stage.estimate.seconds[1]
    assert found.memory > 100e6 and found.disk > 1e6


@pytest.mark.parametrize(
    ("setting", "status", "problem"),
    [
        ("eval.metrics=['arii']", 4, "no metric is called 'arii'; did you mean 'ari'?"),
        ("infer.store=['elbo']", 7, "[probe] needs latents, but infer.store omits them"),
        ("infer.split='tset'", 8, "infer.split: the data set will have no split 'tset'; did you mean 'test'?"),
        ("infer.scenes=500", 8, "split 'test' has 320 scenes, not 500"),
        ("infer.scenes=3", 8, "probe: 3 scenes are fewer than the 5 folds"),
        ("probe.factors=['shap']", 7, "the data set will have no factor 'shap'; did you mean 'shape'?"),
        ("traverse.dimensions=20", 8, "traverse.dimensions=20, but there will be only 16"),
        ("model.decoder.patch=8", 9, "this network needs images of at least 17×17 pixels, but these are 14×14"),
        ("train.accumulate=5", 3, "train.accumulate"),
        ("prepare.source=nowhere", 5, "nowhere: no such file or folder"),
        ("dataset.cell=0", 3, "dataset.cell"),
        ("report.titel=x", 3, "report.titel is not a known key; did you mean 'title'?"),
    ],
)
def test_a_problem_is_one_sentence_with_its_status(setting: str, status: int, problem: str, tmp_path: Path) -> None:
    extra = ["dataset.cell=5", "prepare.generate=40640"] if setting.startswith("prepare.source") else []
    tables = pipelines.load(str(FOLDER / "quickstart.toml"), [setting])
    if extra:
        tables["dataset"] = {}
    found = check_pipeline(tables, Context(Store(tmp_path)))
    stated = [(error.exit_status, str(error)) for error in found.problems]
    assert any(number == status and problem in text for number, text in stated), stated


def test_several_problems_are_named_together(tmp_path: Path) -> None:
    settings = ("infer.store=['elbo']", "eval.metrics=['mse']", "train.split='trian'")
    found = checked(tmp_path, *settings)
    texts = " ".join(map(str, found.problems))
    assert "train.split: the data set will have no split 'trian'" in texts
    found = checked(tmp_path, *settings[:2])
    assert len(found.problems) == 3 and "'mse' needs 'reconstruction', which infer.store omits" in str(
        found.problems[0]
    )


def test_scenes_without_masks_are_known_from_the_source(tmp_path: Path, mini: Path) -> None:
    few = ("prepare.split={train=6, val=2, test=2}", f"prepare.source={mini}")
    found = checked(tmp_path, *few, "train.batch_size=4", name="greff2019_tetrominoes")
    assert found.problems == ()
    dataset = found.stages[0].estimate
    assert dataset and dataset.basis == "measured: 9 scenes tried now"
    assert dataset.disk == pytest.approx(2 * 10 * 35 * 35 * 4, rel=0.1)  # in the journal, then in a shard
    wrong = checked(tmp_path, *few, "prepare.dataset=multi-dsprites", name="greff2019_tetrominoes")
    assert "multi-dsprites" in str(wrong.problems[0])


def test_a_machine_that_is_too_small_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(pipeline_check.shutil, "disk_usage", lambda path: usage(10**6))
    monkeypatch.setattr(pipeline_check, "available_bytes", lambda: 10**7)
    found = checked(tmp_path)
    assert {error.exit_status for error in found.problems} == {14, 16}
    assert "but 1.0 MB are free" in str(found.problems[0]) and "lower train.batch_size" in " ".join(
        map(str, found.problems)
    )


def test_an_earlier_run_of_this_machine_is_the_basis(tmp_path: Path) -> None:
    store, settings = Store(tmp_path), ["prepare.generate=30", "prepare.split={train=10, val=10, test=10}"]
    tables = pipelines.load(str(FOLDER / "quickstart.toml"), settings)
    context = Context(store)
    dataset = run_stage(prepare, tables, {}, context)
    before = checked(tmp_path, *settings).stages[1].estimate
    identity = train.plan(tables, {"dataset": dataset}, context).identity
    other = identity.model_copy(
        update={"config": {**identity.config, "train": {**identity.config["train"], "seed": 7}}}
    )
    made = provenance(datetime.now(UTC)) | {"platform": platform.platform(terse=True), "cpus": os.cpu_count()}
    with store.draft(other) as draft:
        draft.commit({"steps": 4200, "seconds_per_step": 2.0, "device": "cpu", "threads": 1}, made)
    after = checked(tmp_path, *settings).stages[1].estimate
    assert before and after and before.seconds and after.seconds
    assert before.basis.startswith("reference") and after.basis == "measured: 1 earlier artifact of this store"
    assert after.seconds[0] < 4200 * 2.0 < after.seconds[1] and after.seconds[0] > before.seconds[1]


@pytest.mark.parametrize(("scenes", "basis"), [(25 * 40, "measured: 1 earlier"), (170 * 40, "measured: 31 scenes")])
def test_a_tiny_artifact_says_nothing_about_one_that_is_much_larger(tmp_path: Path, scenes: int, basis: str) -> None:
    few = ["prepare.generate=40", "prepare.split={train=20, val=10, test=10}"]
    context = Context(Store(tmp_path))
    identity = prepare.plan(pipelines.load(str(FOLDER / "quickstart.toml"), few), {}, context).identity
    facts = run_stage(prepare, pipelines.load(str(FOLDER / "quickstart.toml"), few), {}, context).facts
    made = provenance(datetime.now(UTC)) | {"platform": platform.platform(terse=True), "cpus": os.cpu_count()}
    with context.store.draft(identity) as draft:
        draft.commit(facts, made | {"seconds": 0.5})  # almost only the start of the stage
    many = [f"prepare.generate={scenes}", f"prepare.split={{train={scenes - 20}, val=10, test=10}}"]
    estimate = checked(tmp_path, *many).stages[0].estimate
    assert estimate and estimate.basis.startswith(basis)


def test_all_mistakes_in_a_matrix_are_found_and_the_other_members_are_estimated(tmp_path: Path) -> None:
    def found(matrix: list[str], *settings: str) -> PipelineCheck:
        tables = pipelines.load(str(FOLDER / "quickstart.toml"), settings)
        return check_pipeline(tables, Context(Store(tmp_path)), matrix)

    check = found(["train.steps=400,-1", "infer.split=test,tset"], "report.titel=x", "eval.metric=ari")
    assert {str(one).partition(";")[0].partition("should")[0] for one in check.problems} == {
        "eval.metric is not a known key",
        "report.titel is not a known key",
        "member steps=-1,split=test (and 1 more) of the matrix: train.steps: input ",
    }
    check = found(["infer.split=test,tset,tets"])
    assert [str(one).partition(";")[0] for one in check.problems] == [
        f"member split={name} of the matrix: infer.split: the data set will have no split '{name}'"
        for name in ("tset", "tets")
    ]
    assert {stage.members for stage in check.stages} == {("split=test",)}
    check = found(["infer.split=test,test"])
    assert "has the value test twice" in str(check.problems[0]) and check.facts()["problems"]


def test_stages_that_members_of_a_matrix_share_count_once(tmp_path: Path) -> None:
    tables = pipelines.load(str(FOLDER / "quickstart.toml"))
    one = check_pipeline(tables, Context(Store(tmp_path)))
    three = check_pipeline(tables, Context(Store(tmp_path)), ["train.seed=1,2,3"])
    counted = [stage.stage for stage in three.stages]
    assert counted.count("dataset") == 1 and counted.count("run") == counted.count("report") == 3
    shared = one.stages[0].estimate
    assert shared and three.disk == pytest.approx(3 * one.disk - 2 * shared.disk)
    assert len(three.stages[0].members) == 3 and three.facts()["stages"][1]["members"] == ["seed=1"]


def test_errors_of_a_broken_file_are_those_of_run(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[trian]\nsteps = 3\n")
    with pytest.raises(IodineKitError, match="did you mean 'train'"):
        pipelines.load(str(path))


def test_the_command_prints_a_table_and_ends_with_the_status_of_a_problem(iodine_kit: Command) -> None:
    done = iodine_kit("check", FOLDER / "quickstart.toml", "--set", "infer.scenes=500", status=8)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["stage", "status", "time", "disk", "memory", "basis"]
    assert lines[1].startswith("dataset      missing") and "known yet" in lines[3] and "disk are free" in lines[-1]
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
