"""The experiments in ``pipelines/``: their tables are valid, the paper's first one runs, a plan says what is stale."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support import TINY, Command

from iodine_kit import pipeline as pipelines
from iodine_kit.config import build, split_table
from iodine_kit.errors import ConfigError, IodineKitError
from iodine_kit.models import iodine
from iodine_kit.pipeline_check import PipelineCheck, check_pipeline
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import prepare
from iodine_kit.stages.evaluate import EvalConfig
from iodine_kit.stages.infer import InferConfig, InferExecution
from iodine_kit.stages.prepare import PrepareConfig
from iodine_kit.stages.report import ReportConfig
from iodine_kit.store import Store
from iodine_kit.training.config import TrainConfig, TrainExecution

FOLDER = Path(__file__).parents[2] / "pipelines"
PUBLISHED = {"tetrominoes": "99.2 ± 0.4 %", "multi_dsprites": "76.7 ± 5.6 %", "clevr6": "98.8 ± 0.0 %"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_value_of_a_pipeline_file_is_a_known_one(path: Path) -> None:
    tables = pipelines.load(str(path))
    build(PrepareConfig, tables["prepare"], "prepare")
    build(iodine.Config, tables["model"], "model")
    for table, models in {"train": (TrainConfig, TrainExecution), "infer": (InferConfig, InferExecution)}.items():
        for model, values in zip(models, split_table(tables[table], models, table), strict=True):
            build(model, values, table)
    build(EvalConfig, tables["eval"], "eval")
    build(ReportConfig, tables["report"], "report")
    assert tables["pipeline"]["summary"]
    pipelines.check(tables)


@pytest.mark.parametrize(("name", "figure"), PUBLISHED.items())
def test_the_paper_s_pipelines_state_the_published_figure_and_the_released_net(name: str, figure: str) -> None:
    tables = pipelines.load(str(FOLDER / f"greff2019_{name}.toml"))
    assert tables["report"]["published"]["ari"].startswith(figure)
    assert tables["model"] == {"preset": f"release-{name.replace('_', '-')}"}
    assert (tables["train"]["beta1"], tables["train"]["clip_norm"], tables["train"]["steps"]) == (0.95, 5.0, 10**6)


@pytest.mark.parametrize(("file", "asked"), [("generate", "source"), ("source", "generate")])
def test_what_is_asked_for_replaces_how_the_file_comes_by_its_scenes(tmp_path: Path, file: str, asked: str) -> None:
    values = {"generate": 20, "source": "published.tfrecords"}
    path = tmp_path / "p.toml"
    path.write_text(f"[prepare]\ndataset = 'tetrominoes'\n{file} = {values[file]!r}\n")
    assert pipelines.load(str(path), [f"prepare.{asked}={values[asked]}"])["prepare"] == {
        "dataset": "tetrominoes", asked: values[asked],
    }  # fmt: skip
    assert pipelines.load(str(path), ["prepare.seed=1"])["prepare"][file] == values[file]


@pytest.mark.slow
def test_the_paper_s_tetrominoes_pipeline_runs_on_genuine_records(
    iodine_kit: Command, tmp_path: Path, mini: Path
) -> None:
    few = [
        "--set", f"prepare.source={mini}", "--set", "prepare.split={train=6, val=2, test=2}",
        "--set", "train.steps=2", "--set", "train.batch_size=2",
    ]  # fmt: skip
    done = iodine_kit("run", FOLDER / "greff2019_tetrominoes.toml", *few, "--json")
    result = json.loads(done.stdout)
    assert set(result["artifacts"]) == {"dataset", "run", "predictions", "evaluation", "report"}
    page = (tmp_path / result["page"]).read_text("utf-8")
    assert "99.2 ± 0.4" in page and "d0583e6a" in page  # the published figure, and the raw file's sha256


@pytest.fixture
def small(tmp_path: Path) -> Path:
    settings = dict(setting.split("=", 1) for setting in TINY if "=" in setting)
    path = tmp_path / "small.toml"
    text = '[prepare]\ndataset = "tetrominoes"\ngenerate = 20\n[dataset]\ncell = 2\n[train]\nsteps = 2\n'
    text += f"batch_size = 4\n[model]\npreset = 'release-tetrominoes'\n{_model(settings)}"
    path.write_text(text + "[infer]\n[eval]\n[report]\n")
    return path


def _model(settings: dict[str, str]) -> str:
    own = {name.removeprefix("model."): value for name, value in settings.items() if name.startswith("model.")}
    return "".join(f"{name} = {value}\n" for name, value in own.items())


@pytest.mark.slow
def test_nothing_is_made_twice_and_a_plan_says_what_is_stale_and_why(iodine_kit: Command, small: Path) -> None:
    def plan(*options: str) -> list[list[str]]:
        lines = iodine_kit("run", small, "--dry-run", *options).stdout.splitlines()
        return [line.split(maxsplit=2) for line in lines]

    assert [row[:2] for row in plan()] == [["missing", "dataset"]] + [
        ["waiting", stage] for stage in ("run", "predictions", "evaluation", "report")
    ]
    expected = check_pipeline(pipelines.load(str(small)), Context(Store(small.parent / "data")))
    first = iodine_kit("run", small)
    _compare_with_made(expected, Store(small.parent / "data"))
    second = iodine_kit("run", small)
    assert second.stdout == first.stdout and second.stderr.count("up to date") == 5
    assert {row[0] for row in plan()} == {"fresh"}
    changed = plan("--set", "train.steps=3")
    assert changed[0][0] == "fresh" and changed[1] == ["stale", "run", "train.steps: 2 -> 3"]
    assert changed[2] == ["waiting", "predictions", "for run"]


def _compare_with_made(expected: PipelineCheck, store: Store) -> None:
    """docs/pipelines.md: a stage takes at least a quarter of the lower end, and at most four times the upper end.

    What takes less than a second is mostly the start of a process, of which a fork of a warm one has none.
    """
    assert not expected.problems
    for stage in expected.stages:
        (artifact,) = store.artifacts(stage.stage)
        assert stage.estimate and stage.estimate.seconds
        low, high = stage.estimate.seconds
        assert artifact.manifest.made["seconds"] <= 4 * high, stage
        assert low < 1 or low / 4 <= artifact.manifest.made["seconds"], stage
        assert sum(file.bytes for file in artifact.manifest.files.values()) <= 4 * stage.estimate.disk, stage


def test_a_plan_does_not_call_an_unrelated_data_set_stale(small: Path, tmp_path: Path) -> None:
    context = Context(Store(tmp_path / "data"))
    tables = pipelines.load(str(small), ["prepare.generate=10"])
    other = run_stage(prepare, tables, {}, context)
    planned = pipelines.plan(pipelines.load(str(small)), context)[0]
    assert planned.status == "missing" and f"the nearest is {other.path} (split.splits: " in planned.because


def test_a_pipeline_may_be_named_with_hyphens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parent)
    for name in ("greff2019_multi_dsprites", "greff2019-multi-dsprites"):
        assert pipelines.load(name)["prepare"]["dataset"] == "multi-dsprites"
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        pipelines.load("quickstar")


def test_an_unknown_table_or_a_stray_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[trian]\nsteps = 3\n")
    with pytest.raises(ConfigError, match=r"\[trian\] is not a known table; did you mean 'train'"):
        pipelines.load(str(path))
    path.write_text("steps = 3\n")
    with pytest.raises(ConfigError, match="steps"):
        pipelines.load(str(path))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("eval.metrics=['arii']", "no metric is called 'arii'"),
        ("report.titel='x'", "did you mean 'title'"),
        ("infer.split='tset'", "the data set will have no split 'tset'"),
        ("infer.slots=300", "less than or equal to 255"),
    ],
)
def test_a_mistake_in_a_late_stage_is_found_before_the_first_one_runs(
    setting: str, told: str, small: Path, tmp_path: Path
) -> None:
    tables = pipelines.load(str(small), [setting])
    with pytest.raises(IodineKitError, match=re.escape(told)):
        pipelines.run(tables, Context(Store(tmp_path / "data")))
    assert not (tmp_path / "data").exists()


def test_the_pipeline_of_generated_scenes_takes_the_published_file(
    iodine_kit: Command, tmp_path: Path, mini: Path
) -> None:
    few = ["--split", "train=6", "--split", "val=2", "--split", "test=2"]
    done = iodine_kit("prepare", "--pipeline", FOLDER / "tetrominoes.toml", "--source", mini, *few, "--json")
    assert json.loads(done.stdout)["splits"] == {"train": 6, "val": 2, "test": 2}
