"""pipelines/dvc/dvc.yaml stays true: every command parses with our command line, and paths agree between stages."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from iodine_kit.cli.app import app

yaml = pytest.importorskip("yaml")
FILE = Path(__file__).parents[2] / "pipelines" / "dvc" / "dvc.yaml"


def filled(value: Any, values: dict[str, str]) -> Any:
    """A value with ``${name}`` replaced, as DVC does."""
    if isinstance(value, dict):
        return {filled(key, values): filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, values) for one in value]
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], value) if isinstance(value, str) else value


def document() -> dict[str, Any]:
    read = yaml.safe_load(FILE.read_text("utf-8"))
    values = {name: str(one) for entry in read.pop("vars") for name, one in entry.items()}
    stages: dict[str, Any] = filled(read["stages"], values)
    return stages


def commands(stage: dict[str, Any]) -> list[str]:
    return [stage["cmd"]] if isinstance(stage["cmd"], str) else list(stage["cmd"])


def paths(entries: list[Any]) -> set[str]:
    return {next(iter(one)) if isinstance(one, dict) else str(one) for one in entries}


def test_every_command_parses_with_the_command_line() -> None:
    group: Any = typer.main.get_command(app)
    seen = []
    for stage in document().values():
        for line in commands(stage):
            if not line.startswith("iodine-kit "):
                continue
            words = shlex.split(re.sub(r'"\$\(cat (\S+)\)"', r"\1", re.split(r" [>|] ", line)[0]))
            context = group.commands[words[1]].make_context(words[1], words[2:], resilient_parsing=False)
            assert str(context.params["store"]) == "dvc-store"
            seen.append(words[1])
    assert seen == ["prepare", "train", "infer", "eval", "eval", "probe", "traverse", "report"]


def test_what_a_stage_reads_is_a_dependency_that_an_earlier_stage_makes() -> None:
    """Also all artifacts of a kind that it declares: ``persist`` keeps an interrupted stage."""
    root, made = FILE.parents[2], set[str]()
    for name, stage in document().items():
        assert (FILE.parent / stage["wdir"]).resolve() == root
        dependencies = paths(stage["deps"])
        read = set(re.findall(r"\$\(cat (\S+)\)", " ".join(commands(stage))))
        assert read <= dependencies
        assert all((root / one).is_file() or one in made for one in dependencies), name
        outputs = paths(stage["outs"]) | paths(stage.get("metrics", []))
        assert not outputs & made
        written = {one for line in commands(stage) for one in re.findall(r"(?:>|--output) (\S+)$", line)}
        assert written <= outputs
        folders = [one for one in stage["outs"] if isinstance(one, dict)]
        assert [one for entry in folders for one in entry.values()] == [{"persist": True}]
        made |= outputs


def test_the_metrics_are_numbers_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    line = next(line for line in commands(document()["eval"]) if "python -c" in line)
    (code,) = re.findall(r'python -c "(.*)"', line)
    printed = {"artifact": "a", "metrics": {"ari": {"mean": 0.5, "n": 3}, "ssim": {"mean": None}}}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(printed)))
    exec(compile(code, "dvc.yaml", "exec"), {})
    assert json.loads(capsys.readouterr().out) == {"ari": 0.5}
