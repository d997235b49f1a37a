"""The application: its commands, and the one place where errors become sentences and exit statuses."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import iodine_kit
from iodine_kit.cli import artifacts, data, models, stages, studies
from iodine_kit.errors import INTERRUPTED, ConfigError, IodineKitError, StorageError
from iodine_kit.system import wait_briefly
from iodine_kit.training.distributed import is_one_of_several


class _Group(TyperGroup):
    """Ends in one sentence and its own exit status, never in a traceback, where the user can mend what is wrong."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except IodineKitError as error:
            _say(f"error: {error}")
            raise typer.Exit(error.exit_status) from None
        except OSError as error:
            _say(f"error: {error.filename or 'output'}: {error.strerror or error}")
            raise typer.Exit(StorageError.exit_status) from None
        except KeyboardInterrupt as error:
            _say(f"interrupted: {str(error) or 'no artifact was left half written'}")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Group,
    name="iodine-kit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Unsupervised object-centric learning with IODINE: prepare, train, infer, eval, report.\n\n"
    "Every stage makes one artifact below --store and prints its path; left without a choice, it takes the newest "
    "fitting input. What is up to date is not made again.",
)


def _say(sentence: str) -> None:
    from iodine_kit.cli.console import err

    err.print(sentence, markup=False, style="bold red")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"iodine-kit {iodine_kit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand != "train" and is_one_of_several():
        if os.environ["RANK"] != "0":
            raise typer.Exit(ConfigError.exit_status)
        raise ConfigError(
            f"{ctx.invoked_subcommand} does not run on several ranks: start it without torchrun, "
            "and only 'train' (for a pipeline, 'train --pipeline FILE') with it"
        )


stages.register(app)
studies.register(app)
data.register(app)
models.register(app)
artifacts.register(app)


def main() -> None:
    """Run the command line."""
    wait_briefly()
    app()
