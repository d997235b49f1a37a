"""The application: the list of its commands, and the one place where errors become sentences and exit statuses."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import iodine_kit
from iodine_kit.addresses import redacted
from iodine_kit.cli import (
    archives,
    artifact_diff,
    artifacts,
    check,
    config_command,
    data,
    evaluation,
    housekeeping,
    imports,
    inference,
    pretrained,
    reports,
    run,
    sharing,
    studies,
    training,
)
from iodine_kit.cli.options import Command
from iodine_kit.errors import INTERRUPTED, ConfigError, IodineKitError, StorageError
from iodine_kit.process import ignore_signals, interrupt_on_signals, print_text, use_safe_streams
from iodine_kit.system import is_one_of_several, shorten_spin_waits, storage_error

COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Stages": {
        "prepare": data.prepare,
        "train": training.train,
        "infer": inference.infer,
        "eval": evaluation.evaluate,
        "report": reports.report,
        "run": run.run,
        "check": check.check,
    },
    "Analysis": {
        "compare": evaluation.compare,
        "probe": evaluation.probe,
        "traverse": inference.traverse,
        "stats": data.stats,
    },
    "Import and export": {
        "import-predictions": imports.import_predictions,
        "import-checkpoint": imports.import_checkpoint,
        "export": data.export,
    },
    "Sharing": {
        "push": sharing.push,
        "pull": sharing.pull,
    },
    "Store": {
        "list": artifacts.list_artifacts,
        "show": artifacts.show,
        "diff": artifact_diff.diff,
        "verify": artifacts.verify,
        "tag": housekeeping.tag,
        "gc": housekeeping.gc,
        "pack": archives.pack,
        "unpack": archives.unpack,
    },
    "Information": {
        "inspect": data.inspect,
        "datasets": data.datasets,
        "protocols": data.protocols,
        "models": pretrained.models,
        "config": config_command.config,
    },
}
"""Title of a part of the help → command → function."""


class _Group(TyperGroup):
    """Turns errors that a user can cause and fix into one sentence and an exit status, without a traceback."""

    has_succeeded = False
    """Whether a command of this process did its work: what happens afterwards does not change the exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            _Group.has_succeeded = True
            return result
        except IodineKitError as error:
            _print(f"error: {error}")
            raise typer.Exit(error.exit_status) from None
        except OSError as error:
            refused = storage_error(error, error.filename or "output", "read or written")
            _print(f"error: {refused}")
            raise typer.Exit(refused.exit_status) from None
        except MemoryError as error:
            refused = storage_error(error, "this command", "completed")
            _print(f"error: {refused}")
            raise typer.Exit(refused.exit_status) from None
        except KeyboardInterrupt as error:
            raise typer.Exit(_interrupted(str(error))) from None


app = typer.Typer(
    cls=_Group,
    name="iodine-kit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Unsupervised object-centric learning with IODINE: prepare, train, infer, eval, report.\n\n"
    "Every stage makes one artifact in the directory --store and prints its path. Without an explicit input, a stage "
    "uses what --pipeline makes, or else the most recent matching artifact. An artifact that is up to date is reused, "
    "and an interrupted command resumes when it is repeated.",
)


def _print(sentence: str) -> None:
    from iodine_kit.cli.console import err

    err.print(redacted(sentence), markup=False, style="bold red")


def _interrupted(progress: str = "") -> int:
    """Print that the command was interrupted; returns the exit status."""
    ignore_signals()
    _print(f"interrupted: {progress or 'no half-written artifact is left'}")
    return INTERRUPTED


def _version(wanted: bool) -> None:
    if wanted:
        print_text(f"iodine-kit {iodine_kit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand not in ("train", "infer") and is_one_of_several():
        if os.environ["RANK"] != "0":
            raise typer.Exit(ConfigError.exit_status)
        raise ConfigError(
            f"{ctx.invoked_subcommand} does not run on several ranks: start it without torchrun; "
            "torchrun starts only 'train' and 'infer' (for a pipeline file, 'train --pipeline FILE')"
        )


def _help(command: Callable[..., None]) -> str:
    """The docstring with each paragraph on one line, so that the terminal's width breaks it, and not the source's."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for _title, _commands in COMMANDS.items():
    for _name, _function in _commands.items():
        app.command(_name, cls=Command, rich_help_panel=_title, help=_help(_function))(_function)
app.add_typer(studies.group, name="study", rich_help_panel="Analysis")
app.command("package-model", cls=Command, hidden=True)(pretrained.package_model)


def main() -> None:
    """Run the command line."""
    use_safe_streams()
    interrupt_on_signals()
    shorten_spin_waits()
    status: Any = 0
    try:
        app()
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:  # before or after the command
        status = 0 if _Group.has_succeeded else _interrupted()
    ignore_signals()
    try:
        sys.stdout.flush()
    except StorageError as error:
        _print(f"error: {error}")
        status = status or error.exit_status
    sys.exit(status)
