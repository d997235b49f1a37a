"""The studies as commands: each is found by its file, and imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from iodine_kit.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    OverwriteOption,
    SetOption,
    StoreOption,
    store_at,
)


def register(app: typer.Typer) -> None:
    """Add ``study`` and, below it, every study."""
    app.add_typer(_group, name="study")


class _Studies(TyperGroup):
    """Looks for studies when it is asked for one: the names of all cost next to nothing, what they say a second."""

    def list_commands(self, ctx: Any) -> list[str]:
        from iodine_kit.studies import STUDIES

        return STUDIES.names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from iodine_kit.studies import STUDIES

        plugin = STUDIES.load(cmd_name)
        keys = [f"study.{key}" for key in plugin.Config.model_fields]
        more = f"Keys to --set: {', '.join(keys)}, and those of the pipeline's tables." if keys else ""
        text = f"{plugin.SUMMARY[0].upper()}{plugin.SUMMARY[1:]}.\n\n{plugin.QUESTION}\n\n{more}"
        one = typer.Typer(add_completion=False)
        one.command(cmd_name, help=text, short_help=plugin.SUMMARY)(_conduct(cmd_name))
        return typer.main.get_command(one)


_group = typer.Typer(
    cls=_Studies,
    no_args_is_help=True,
    help="Change one thing, run the stages again, and show what comes of it: one page, one table, one figure.\n\n"
    "Nothing is computed twice, and an interrupted study goes on.",
)


@_group.callback()
def _root() -> None:
    """Without this, a group of no static command would be none."""


def _conduct(name: str) -> Callable[..., None]:
    def conduct(
        pipeline: Annotated[
            str | None,
            typer.Option(
                "--pipeline", metavar="FILE|NAME", help="The base to change; left out, the newest run or quickstart."
            ),
        ] = None,
        run: Annotated[
            str | None, typer.Option("--run", metavar="ARTIFACT", help="Trained run, where the study needs no more.")
        ] = None,
        output: Annotated[
            Path | None,
            typer.Option(
                "--output", metavar="DIR", help="Also copy study.md, figure.*, table.csv and study.json here."
            ),
        ] = None,
        settings: SetOption = None,
        store: StoreOption = DEFAULT_STORE,
        overwrite: OverwriteOption = False,
        as_json: JsonOption = False,
    ) -> None:
        from iodine_kit.cli.console import Terminal, emit, err
        from iodine_kit.cli.options import hand_over
        from iodine_kit.studies import JSON, PAGE, study

        if output is not None and output.exists() and not output.is_dir():
            raise typer.BadParameter(f"{output} is a file: name a directory", param_hint="--output")
        artifact = study(
            name, store_at(store), Terminal(), pipeline=pipeline, run=run, settings=settings or [], overwrite=overwrite
        )
        if output is not None:
            _copy(artifact.path, output)
        for sentence in artifact.facts["seen"]:
            err.print(sentence, markup=False)
        seconds, count = artifact.facts["seconds"], artifact.facts["artifacts"]
        err.print(f"{count} artifacts, made in {seconds:,.0f} s one after the other", markup=False)
        page = hand_over(artifact.path / PAGE, None)
        facts: dict[str, Any] = {"page": page, "study": str(artifact.path / JSON), **artifact.facts}
        emit(artifact, as_json, **facts)

    return conduct


def _copy(source: Path, target: Path) -> None:
    import shutil

    from iodine_kit.studies import SUMMARY_FILES

    target.mkdir(parents=True, exist_ok=True)
    for name in SUMMARY_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
