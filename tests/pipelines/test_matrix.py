"""A matrix on real files: what is shared, what is made again, how it ends if a member fails."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from iodine_kit.cli.app import app

FILE = """
[prepare]
dataset = "tetrominoes"
generate = 24
split = { train = 16, val = 4, test = 4 }
[dataset]
cell = 1
[train]
steps = 1
batch_size = 4
[model]
preset = "release-tetrominoes"
steps = 1
latent = 2
decoder = { kernel = 3, channels = [4] }
refinement = { channels = [4], mlp = [4] }
gradient_reduction = "per-image"
[eval]
metrics = ["ari", "mse"]
[report]
scenes = 1
[matrix]
seeds = [1, 2]
"""


def call(store: Path, *options: object, status: int = 0) -> Result:
    file = store.parent / "p.toml"
    if not file.exists():
        file.write_text(FILE)
    environment = {"COLUMNS": "200", "IODINE_KIT_STORE": str(store)}
    done = CliRunner().invoke(app, ["run", str(file), *map(str, options)], env=environment)
    assert done.exit_code == status, (done.exit_code, done.stderr, done.exception)
    return done


def printed(store: Path, *options: object, status: int = 0) -> Any:
    return json.loads(call(store, *options, "--json", status=status).stdout)


def plan(store: Path, *options: object) -> list[tuple[str, str, int]]:
    planned = printed(store, "--dry-run", *options)
    return [(one["stage"], one["status"], len(one["members"])) for one in planned]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The store of a finished matrix, which no test may change, and what the command printed."""
    store = tmp_path_factory.mktemp("matrix") / "data"
    assert plan(store)[:2] == [("prepare", "missing", 2), ("train", "waiting", 1)]
    return store, printed(store)


@pytest.fixture
def store(finished: tuple[Path, Any], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "data"))


def test_members_share_the_data_set_and_end_in_one_comparison(finished: tuple[Path, Any]) -> None:
    store, result = finished
    first, second = result["members"]
    assert (first["name"], second["settings"]) == ("seed=1", {"train.seed": 2})
    assert first["artifacts"]["dataset"] == second["artifacts"]["dataset"]
    assert all(first["artifacts"][role] != second["artifacts"][role] for role in ("run", "evaluation", "report"))
    (spread,) = result["summary"]
    means = [one["metrics"]["ari"]["mean"] for one in (first, second)]
    assert spread["seeds"] == [1, 2] and spread["metrics"]["ari"]["mean"] == pytest.approx(sum(means) / 2)
    compared = json.loads((Path(result["comparison"]) / "summary.json").read_text("utf-8"))
    assert [model["seeds"] for model in compared["models"]] == [[1, 2]]
    page, markdown = (Path(result["report"], name).read_text("utf-8") for name in ("index.html", "report.md"))
    assert "This page compares 2 evaluations: seed=1; seed=2." in page and "mean ± sd of 2 seeds" in page
    for one in (first, second):
        assert f"Mask predicted by {one['name']} of scene" in page
        for role in ("run", "predictions", "evaluation"):
            assert f"**{role} of {one['name']}** `{role}/{Path(one['artifacts'][role]).name}`" in markdown
    assert {status for _, status, _ in plan(store)} == {"fresh"}


def test_a_sweep_of_the_evaluation_shares_the_predictions(store: Path) -> None:
    options = ("--matrix", "seeds=1", "--matrix", "eval.convention=exclude,deepmind", "--until", "eval")
    shared = [("prepare", "fresh", 2), ("train", "fresh", 2), ("infer", "fresh", 2)]
    assert plan(store, *options) == [*shared, ("eval", "fresh", 1), ("eval", "missing", 1)]
    done = call(store, *options)
    assert "note: no comparison of the members:" in done.stderr and len(done.stdout.splitlines()) == 2


def test_force_makes_one_stage_again_and_the_others_follow_only_if_its_content_changed(store: Path) -> None:
    options = ("--member", "seed=1", "--force", "infer")
    assert [status for _, status, _ in plan(store, *options)] == ["fresh", "fresh", "stale", "waiting", "waiting"]
    before = {path.parent: path.read_bytes() for path in store.glob("*/*/manifest.json")}
    call(store, *options)
    changed = {path.parent.name for path, old in before.items() if (path / "manifest.json").read_bytes() != old}
    assert changed == {"predictions"}


def test_what_no_run_has_made_for_a_member_is_missing_and_not_stale(store: Path) -> None:
    for one in [one for one in printed(store)["members"] if one["name"] == "seed=1"]:
        shutil.rmtree(one["artifacts"]["run"])
        shutil.rmtree(one["artifacts"]["predictions"])
    assert plan(store, "--member", "seed=1")[1:3] == [("train", "missing", 1), ("infer", "waiting", 1)]
    planned = printed(store, "--matrix", "train.seed=2,3", "--dry-run")
    (new,) = (one for one in planned if one["stage"] == "train" and one["status"] != "fresh")
    assert new["status"] == "missing" and new["because"].endswith("(train.seed: 2 -> 3)")
    printed(store, "--until", "train")
    assert plan(store, "--member", "seed=1")[1:3] == [("train", "fresh", 1), ("infer", "missing", 1)]
    assert plan(store, "--set", "infer.steps=3")[2][:2] == ("infer", "stale")


def test_a_damaged_comparison_or_report_of_the_members_is_made_again(store: Path) -> None:
    result = printed(store)
    comparison, page = Path(result["comparison"]), Path(result["page"])
    (comparison / "scenes.csv").unlink()
    page.unlink()
    *_, first, second = printed(store, "--dry-run")
    assert (first["role"], first["command"], first["status"]) == ("comparison", "compare", "stale")
    assert first["because"] == "it is damaged: scenes.csv is missing"
    assert (second["role"], second["status"], second["members"]) == ("report", "waiting", ["seed=1", "seed=2"])
    (remark,) = (line for line in call(store).stderr.splitlines() if line.startswith(str(comparison)))
    assert remark.endswith(": scenes.csv is missing; it is made again")
    assert (comparison / "scenes.csv").exists() and page.exists()
    assert plan(store)[-2:] == [("compare", "fresh", 2), ("report", "fresh", 2)]
    assert plan(store, "--force", "report")[-1] == ("report", "stale", 2)
    notes = comparison / "notes.txt"
    notes.write_text("mine")
    refused = [call(store, *options, status=11).stderr.splitlines()[-1] for options in (("--dry-run",), ())]
    assert refused[0] == refused[1] and notes.exists()


def test_only_needs_inputs_that_are_up_to_date(store: Path) -> None:
    assert len(printed(store, "--only", "eval", "--member", "seed=2")["members"]) == 1
    (predictions,) = {
        one["artifact"] for one in printed(store, "--dry-run", "--member", "seed=2") if one["stage"] == "infer"
    }
    shutil.rmtree(predictions)
    done = call(store, "--only", "eval", "--member", "seed=2", status=10)
    assert "this input is missing or out of date: make it with --until infer, or add --only infer" in done.stderr
    assert printed(store, "--only", "eval", "--only", "infer", "--member", "seed=2")["members"][0]["metrics"]


def test_one_member_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    options = ("--matrix", "train.batch_size=5,4", "--set", "train.accumulate=2", "--until", "eval", "--member")
    done = call(tmp_path / "data", *options, "seed=1,batch_size=5", "--member", "seed=1,batch_size=4", status=3)
    sentence = "5 images do not divide into 2 equal parts"
    assert f"seed=1,batch_size=5: error: train.accumulate: {sentence}" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "error: 1 of 2 members failed, and the others are complete: seed=1,batch_size=5: train.accumulate: " + sentence
    )
    assert done.stdout.startswith(str(tmp_path / "data" / "evaluation"))


def test_until_ends_early_and_needs_no_report_for_the_output(tmp_path: Path) -> None:
    store = tmp_path / "data"
    result = printed(store, "--until", "prepare")
    assert set(result["members"][0]["artifacts"]) == {"dataset"} and "comparison" not in result
    call(store, "--until", "prepare", "--output", tmp_path / "page.html", status=2)
    call(store, "--jobs", "0", status=2)


def test_an_artifact_of_other_code_is_named_with_the_way_out(store: Path) -> None:
    (evaluation, *_) = store.glob("evaluation/*/manifest.json")
    manifest = json.loads(evaluation.read_text("utf-8"))
    manifest["made"]["code"] |= {"sha256": ""}
    manifest["made"]["code"]["files"]["iodine_kit.metrics.ari"] = "another"
    evaluation.write_text(json.dumps(manifest))
    planned = printed(store, "--dry-run")
    (member,) = (one["members"][0] for one in planned if one["artifact"] == str(evaluation.parent))
    remark = f"made by other code: metrics.ari changed since; --force eval --member {member} makes it again"
    assert remark in call(store, "--dry-run", "--member", member).stdout
    assert f"note: {evaluation.parent} was {remark}" in call(store, "--until", "eval", "--member", member).stderr
    call(store, "--until", "eval", "--member", member, "--force", "eval")
    assert "other code" not in call(store, "--dry-run", "--member", member).stdout


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Run members side by side in processes, up to the data sets; the store is ``data`` in the folder."""
    (folder / "p.toml").write_text(FILE)
    command = [sys.executable, "-m", "iodine_kit", "run", "p.toml", *UNTIL_DATA, "--jobs", "2", *options]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, **pipes)


UNTIL_DATA = ("--until", "prepare", "--matrix", "seeds=1")


@pytest.mark.slow
def test_members_side_by_side_make_the_same_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    options = (*UNTIL_DATA, "--matrix", "dataset.cell=1,2,3")
    _, broken, _ = printed(tmp_path / "data", "--dry-run", *options)
    for store in ("data", "other"):
        place = tmp_path / store / "dataset" / f".{Path(broken['artifact']).name}.partial"
        place.parent.mkdir(parents=True)
        place.touch()  # a file where the folder of a draft should be
    process = start(tmp_path, *options[len(UNTIL_DATA) :])
    out, err = process.communicate(timeout=120)
    call(tmp_path / "other", *options, status=process.returncode)
    made, other = (
        {
            path.parent.name: json.loads(path.read_text("utf-8"))["content"]
            for path in tmp_path.glob(f"{store}/*/*/m*.json")
        }
        for store in ("data", "other")
    )
    assert made == other and len(made) == 2 == len(out.splitlines())
    assert "seed=1,cell=1 | prepare" in err and "seed=1,cell=2 | error: " in err
    assert "error: 1 of 3 members failed, and the others are complete: seed=1,cell=2: " in err.splitlines()[-1]


@pytest.mark.slow
def test_an_interruption_stops_all_members_and_their_work_resumes(tmp_path: Path) -> None:
    options = ["--set=prepare.generate=100000008", "--set=prepare.split={train=100000000}", "--matrix=prepare.seed=1,2"]
    options += ["--set=format.scenes_per_shard=8"]
    process = start(tmp_path, *options)
    assert process.stderr is not None
    working: set[str] = set()
    for line in process.stderr:
        working |= {line.split(" | ")[0]} if "shard 0" in line else set()
        if len(working) == 2:
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130
    assert rest.splitlines()[-1] == "interrupted: all members stopped; repeat the command to resume"
    assert [status for _, status, _ in plan(tmp_path / "data", *UNTIL_DATA, *options)] == ["interrupted"] * 2
