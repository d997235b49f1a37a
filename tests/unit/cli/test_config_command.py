"""``iodine-kit config``: every key that a stage accepts, with default, type and meaning."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from typer.testing import CliRunner

from iodine_kit.cli.app import app
from iodine_kit.cli.config_command import FAMILIES, STAGES, plugin_keys, stage_keys
from iodine_kit.cli.config_keys import Key, keys_of, meanings_of
from iodine_kit.config import Config, NoneAsText, build, parse_overrides
from iodine_kit.errors import ConfigError
from iodine_kit.registry import Registry
from iodine_kit.training.config import TrainConfig, TrainExecution

MODULES = {"eval": "evaluate"}


def plugins() -> list[tuple[str, str]]:
    found = []
    for kind, family in FAMILIES.items():
        module, _, name = family.registry.partition(":")
        registry: Registry[Any] = getattr(importlib.import_module(module), name)
        found += [(kind, plugin) for plugin in registry.names()]
    return found


class Inner(Config):
    """A nested table.

    Attributes:
        side: of a square, in pixels.
    """

    side: Annotated[int, Field(ge=1, le=4096)] = 3


class Base(Config):
    """A base class.

    Attributes:
        kept: said by the base.
    """

    kept: bool = False


class Outer(Base):
    """Several kinds of keys.

    Attributes:
        name: a name that
            goes over two lines, see :class:`iodine_kit.config.Config`.
        low, high: ends of a range.
        mode: ``slow`` keeps its spelling.
        inner: never shown, because its keys are.
        maybe: a table that may be missing.
    """

    name: str
    low: Annotated[float, Field(gt=0, lt=1)] = 0.5
    high: Annotated[Annotated[float, Field(ge=0)] | None, NoneAsText] = None
    mode: Literal["slow", "fast", "auto"] = "auto"
    inner: Inner = Inner()
    maybe: Inner | None = None
    paths: tuple[Path, ...] = ()
    counts: dict[str, int] = {}


def test_keys_have_type_default_and_meaning() -> None:
    assert list(keys_of(Outer, "t"))[:5] == [
        Key("t.kept", "true or false", "Said by the base.", False),
        Key("t.name", "text", "A name that goes over two lines, see iodine_kit.config.Config.", required=True),
        Key("t.low", "number above 0 and below 1", "Ends of a range.", 0.5),
        Key("t.high", "number at least 0 or none", "Ends of a range."),
        Key("t.mode", "slow, fast or auto", "slow keeps its spelling.", "auto"),
    ]
    inner = Key("t.inner.side", "integer from 1 to 4,096", "Of a square, in pixels.", 3)
    optional = Key("t.maybe", "table", "A table that may be missing.")
    assert list(keys_of(Outer, "t"))[5:] == [
        inner, optional, Key("t.maybe.side", inner.type, inner.meaning, 3),
        Key("t.paths", "list of path", "", []), Key("t.counts", "table, name to integer", "", {}),
    ]  # fmt: skip


def test_a_docstring_without_attributes_has_no_meanings() -> None:
    assert meanings_of(Config) == {}


@pytest.mark.parametrize("stage", STAGES)
def test_tables_are_those_of_the_stage(stage: str) -> None:
    name = MODULES.get(stage, stage.replace("-", "_"))
    tables = tuple(importlib.import_module(f"iodine_kit.stages.{name}").TABLES)
    extra = ("import",) if stage == "eval" else ()  # a third-party file is imported first
    assert tuple(STAGES[stage]) == tables + extra


@pytest.mark.parametrize("stage", STAGES)
def test_every_key_of_a_stage_has_a_meaning(stage: str) -> None:
    keys = [key for table in stage_keys(stage).values() for key in table]
    assert keys and [key.key for key in keys if not key.meaning] == []
    assert len({key.key for key in keys}) == len(keys)


@pytest.mark.parametrize(("kind", "name"), plugins())
def test_every_key_of_a_plugin_has_a_meaning(kind: str, name: str) -> None:
    assert [key.key for key in plugin_keys(kind, name) if not key.meaning] == []


def test_every_default_of_training_is_accepted_and_keys_are_complete() -> None:
    keys = {key.key.partition(".")[2]: key for key in stage_keys("train")["train"]}
    accepted = {*TrainConfig.model_fields, *TrainExecution.model_fields, "from"}
    assert keys.keys() == accepted
    for model in (TrainConfig, TrainExecution):
        values = {name: keys[name].default for name in model.model_fields}
        assert build(model, values, "train") == model()


def test_a_default_can_be_given_to_set_as_it_is_printed() -> None:
    page = CliRunner().invoke(app, ["config", "train"]).stdout
    lines = [line.strip().partition("  (")[0] for line in page.splitlines() if line.startswith("  train.")]
    values = parse_overrides([line for line in lines if not line.startswith("train.from")], ["train"])["train"]
    assert build(TrainConfig, {key: values[key] for key in TrainConfig.model_fields}, "train") == TrainConfig()


def run(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, ["config", *arguments], env={"COLUMNS": "120"})
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else " ".join(done.stderr.split())


def test_config_prints_text_and_json() -> None:
    text = run("train")
    assert text.startswith("[train]\n") and "[model]  iodine\n" in text
    assert "  model.decoder.kernel = 3  (integer from 1 to 31)\n" in text and "model.preset = none" in text
    keys = json.loads(run("train", "--json"))
    assert {"key", "type", "default", "required", "meaning"} == keys[0].keys()
    assert [key["default"] for key in keys if key["key"] == "train.steps"] == [1_000_000]


def test_config_names_the_plugins_of_a_table_and_lists_one() -> None:
    assert "'iodine-kit config dataset NAME' lists the keys" in run("prepare")
    assert "dataset.cell = 5  (integer from 1 to 32)" in run("dataset", "tetrominoes")
    assert "no keys" in run("dataset", "folder")
    assert "config STAGE" in run() and "train" in json.loads(run("--json"))


def test_config_names_the_metrics_with_their_titles() -> None:
    text = " ".join(run("eval").split())
    assert "ari (FG-ARI), ari-all (ARI (all pixels))" in text and "miou (mIoU)" in text


def test_config_refuses_unknown_names_with_a_suggestion() -> None:
    assert "did you mean 'train'?" in run("trian", status=4)
    text = run("foo", status=4)
    assert "'foo' is neither a stage (prepare, " in text and "nor a kind of plug-in (dataset, " in text
    assert "did you mean 'tetrominoes'?" in run("dataset", "tetromino", status=4)
    assert "name one of" in run("format", status=2) and "follows a kind" in run("train", "iodine", status=2)
    with pytest.raises(ConfigError):
        build(TrainConfig, {"step": 3}, "train")


@pytest.mark.parametrize("command", list(STAGES))
def test_the_help_of_a_stage_points_to_config(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert f"iodine-kit config {command}" in " ".join(done.stdout.split())
