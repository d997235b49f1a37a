"""The commands and options, as a list: adding one means to edit this list, so that it is a decision."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.markup import render
from typer.testing import CliRunner

from iodine_kit.cli.app import app

COMMANDS = {
    "prepare": "[DATASET] --generate --source --protocol --split --seed --format --workers --engine --address"
    " --set --pipeline --store --overwrite --json",
    "train": "--dataset --model --from --estimate --set --pipeline --store --overwrite --json",
    "infer": "--run --checkpoint --model --dataset --set --pipeline --engine --address --workers"
    " --store --overwrite --json",
    "eval": "--predictions --dataset --metric --fail-under --format --set --pipeline --engine --address --workers"
    " --store --overwrite --json",
    "report": "--evaluation --probe --traversal --output --open --set --pipeline --store --overwrite --json",
    "run": "PIPELINE --set --matrix --member --jobs --until --only --force --dry-run --output --engine --address"
    " --workers --store --overwrite --json",
    "check": "PIPELINE --set --matrix --store --json",
    "compare": "EVALUATIONS --name --metric --format --set --store --overwrite --json",
    "probe": "--predictions --set --pipeline --engine --address --workers --store --overwrite --json",
    "traverse": "--predictions --set --pipeline --store --overwrite --json",
    "stats": "[DATASET] --output --set --store --overwrite --json",
    "study NAME": "--pipeline --run --output --set --store --overwrite --json",
    "import-predictions": "SOURCE --dataset --split --model --mapping --set --store --overwrite --json",
    "import-checkpoint": "CHECKPOINT --source --set --store --overwrite --json",
    "export": "DATASET OUTPUT --split --compression --croissant --url --store --overwrite --json",
    "push": "ARTIFACTS --to --without-inputs --jobs --store --overwrite --json",
    "pull": "[ARTIFACTS] --from --without-inputs --jobs --store --json",
    "inspect": "PATH --set --json",
    "datasets": "--json",
    "protocols": "[NAME] --json",
    "models": "[NAME] --json",
    "config": "[WHAT] [NAME] --json",
    "list": "[TEXT] --kind --name --unused --older-than --tag --sort --store --json",
    "show": "PLACE --store --json",
    "diff": "FIRST SECOND --store --json",
    "verify": "PLACE --store --json",
    "tag": "[NAME] [PLACE] --delete --store --json",
    "gc": "[PLACES] --older-than --kind --all --yes --store --json",
    "pack": "PLACES --output --without-inputs --with-downloads --store --overwrite --json",
    "unpack": "ARCHIVE --store --json",
    "package-model": "NAME EVALUATIONS --remake --summary --licence --to --store --overwrite",
}
STUDIES = {"counts", "holdout", "inputs", "multistability", "recipe", "seeds", "slots", "steps"}


def _parameters(command: Any) -> str:
    """Arguments and long options, in the order of the help."""
    words = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            words.append(parameter.name.upper() if parameter.required else f"[{parameter.name.upper()}]")
        else:
            words.append(next(name for name in parameter.opts if name.startswith("--")))
    return " ".join(word for word in words if word != "--help")


def test_commands_and_options_are_those_of_the_list() -> None:
    group: Any = typer.main.get_command(app)
    found = {name: _parameters(one) for name, one in group.commands.items() if name != "study"}
    study = group.commands["study"]
    names = study.list_commands(None)
    assert set(names) == STUDIES
    (found["study NAME"],) = {_parameters(study.get_command(None, name)) for name in names}
    assert found == COMMANDS


def test_no_option_has_a_short_form_but_help() -> None:
    group: Any = typer.main.get_command(app)
    for command in group.commands.values():
        for parameter in command.params:
            assert all(name.startswith("--") or not name.startswith("-") for name in parameter.opts), parameter.opts


def _commands() -> list[Any]:
    group: Any = typer.main.get_command(app)
    study = group.commands["study"]
    return [*group.commands.values(), *(study.get_command(None, name) for name in study.list_commands(None))]


def test_no_help_keeps_the_line_breaks_of_its_source() -> None:
    for command in _commands():
        for text in (command.help, *(getattr(one, "help", None) for one in command.params)):
            assert "\n" not in (text or "").replace("\n\n", ""), (command.name, text)


def test_no_help_has_brackets_that_are_taken_for_markup() -> None:
    for command in _commands():
        texts = [command.help, *(getattr(one, "help", None) for one in command.params)]
        for text in filter(None, texts):
            assert render(text).plain.rstrip() == text.replace("\\[", "[").rstrip(), command.name


@pytest.mark.parametrize(
    ("arguments", "replacement"),
    [
        (["prepare", "clevr", "--no-crop"], "--set preprocess.crop=none"),
        (["prepare", "multi-dsprites", "--sprites=a.npz"], "--set dataset.sprites=FILE"),
        (["prepare", "clevr", "--resume"], "repeat the command without it"),
        (["train", "--steps", "5"], "use --set train.steps=VALUE"),
        (["train", "--learning-rate=0.1"], "use --set train.learning_rate=VALUE"),
        (["infer", "--restarts", "5"], "use --set infer.restarts=VALUE"),
        (["infer", "--steps", "5"], "use --set infer.steps=VALUE"),
        (["prepare", "tetrominoes", "--cell", "2"], "use --set dataset.cell=VALUE"),
        (["train", "--resume"], "repeat the command without it"),
        (["train", "--auto-resume"], "repeat the command without it"),
        (["eval", "--convention", "deepmind"], "--set eval.convention=NAME"),
        (["eval", "--mapping", "m.toml"], "iodine-kit import-predictions FILE --mapping FILE.toml"),
        (["probe", "--match", "loss"], "--set probe.match=loss"),
    ],
)
def test_a_removed_option_names_what_replaces_it(arguments: list[str], replacement: str) -> None:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert done.exit_code == 2 and replacement in " ".join(done.stderr.split()), done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "hint"),
    [
        (["prepare", "tetrominoes", "--generate", "5", "--set", "cell=2"], 3, "did you mean dataset.cell=2?"),
        (["train", "--set", "steps=5"], 3, "did you mean train.steps=5?"),
        (["run", "nothing", "--set", "steps=5"], 3, "did you mean train.steps=5?"),
        (["train", "--model", "pretrained:tetrominoes"], 4, "use --from pretrained:tetrominoes"),
        (["infer"], 10, "--model pretrained:tetrominoes"),
        (["eval", "--format", "html"], 2, "'--format': 'html' is not one of"),
    ],
)
def test_a_mistake_is_answered_with_what_was_meant(
    arguments: list[str], status: int, hint: str, tmp_path: Path
) -> None:
    environment = {"COLUMNS": "200", "TERMINAL_WIDTH": "200", "IODINE_KIT_STORE": str(tmp_path)}
    done = CliRunner().invoke(app, arguments, env=environment)
    assert done.exit_code == status and hint in " ".join(done.stderr.split()), done.stderr


QUICKSTART = str(Path(__file__).parents[2] / "pipelines" / "quickstart.toml")
SLOW = ("torch", "pandas", "scipy", "sklearn", "h5py", "PIL", "jinja2")


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], ()),
        (["train", "--help"], ()),
        (["study", "--help"], ()),
        (["study", "steps", "--help"], ()),
        (["list"], ()),
        (["show", "nothing"], ()),
        (["config", "train"], ()),
        (["config", "model", "iodine"], ()),
        (["train"], ()),
        (["train", "--estimate"], ()),
        (["infer"], ()),
        (["eval"], ()),
        (["probe"], ()),
        (["traverse"], ()),
        (["report"], ()),
        (["compare", "a", "b"], ()),
        (["stats"], ()),
        (["export", "a", "b"], ()),
        (["push", "a", "--to", "b"], ()),
        (["pull", "a", "--from", "b"], ()),
        (["models"], ("PIL",)),
        (["datasets"], ("PIL", "h5py")),
        (["protocols"], ()),
        (["config", "eval"], ("h5py", "PIL")),
        (["run", QUICKSTART, "--dry-run"], ("h5py", "PIL")),
        (["check", QUICKSTART], ("h5py", "PIL")),
        (["train", "--pipeline", QUICKSTART], ("h5py", "PIL")),
    ],
)
def test_a_command_without_work_loads_no_slow_module(
    arguments: list[str], allowed: tuple[str, ...], tmp_path: Path
) -> None:
    """In an empty store, so that the other commands end with "no such artifact"."""
    script = (
        f"import sys\nsys.argv[1:] = {arguments!r}\n"
        "from iodine_kit.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('loaded', *sorted(set({SLOW!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ}
    )
    assert set(done.stdout.splitlines()[-1].split()[1:]) <= set(allowed), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
