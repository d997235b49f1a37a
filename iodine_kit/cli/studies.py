"""The studies as commands: one for every module of the family, imported only when it runs."""

from __future__ import annotations

import ast
import importlib.util
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
    hand_over,
    store_at,
)
from iodine_kit.system import to_path


class _Studies(TyperGroup):
    """Lists the studies without importing them: their imports would take seconds."""

    def list_commands(self, ctx: Any) -> list[str]:
        from iodine_kit.studies import STUDIES

        return STUDIES.names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        summary, question = _words(cmd_name)
        text = (
            f"{summary[0].upper()}{summary[1:]}{'' if summary.endswith('?') else '.'}\n\n{question}\n\n"
            f"'iodine-kit config study {cmd_name}' lists its keys for --set; those of the pipeline's tables work too."
        )
        one = typer.Typer(add_completion=False)
        one.command(cmd_name, help=text, short_help=summary)(_conduct(cmd_name))
        return typer.main.get_command(one)


group = typer.Typer(
    cls=_Studies,
    no_args_is_help=True,
    help="Run an ablation study: vary one factor, rerun the stages, and report the results on one page.\n\n"
    "Artifacts that are up to date are reused. Repeat an interrupted study to resume it.",
)


@group.callback()
def _root() -> None:
    """Typer needs a callback for a group without static commands."""


def _words(name: str) -> tuple[str, str]:
    """SUMMARY and QUESTION of a study; of this package's own from the text of the module."""
    from iodine_kit.studies import STUDIES

    if name in STUDIES.built_in():
        spec = importlib.util.find_spec(f"{STUDIES.package}.{name.replace('-', '_')}")
        tree = ast.parse(Path(str(spec and spec.origin)).read_text("utf-8"))
        texts = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if texts.keys() >= {"SUMMARY", "QUESTION"}:
            return str(texts["SUMMARY"]), str(texts["QUESTION"])
    plugin = STUDIES.load(name)
    return plugin.SUMMARY, plugin.QUESTION


def _conduct(name: str) -> Callable[..., None]:
    def conduct(
        pipeline: Annotated[
            str | None,
            typer.Option(
                metavar="FILE|NAME",
                help="Pipeline file that the study varies. Defaults to the most recent run, or else quickstart.",
            ),
        ] = None,
        run: Annotated[
            str | None,
            typer.Option(metavar="ARTIFACT", help="Trained run, for studies that train no models themselves."),
        ] = None,
        output: Annotated[
            Path | None,
            typer.Option(
                metavar="DIR",
                parser=to_path,
                help="Also copy study.md, figure.*, table.csv and study.json to this folder.",
            ),
        ] = None,
        settings: SetOption = None,
        store: StoreOption = DEFAULT_STORE,
        overwrite: OverwriteOption = False,
        as_json: JsonOption = False,
    ) -> None:
        from iodine_kit.artifacts.summaries import StudyFacts
        from iodine_kit.cli.console import Terminal, emit, err
        from iodine_kit.studies import JSON, PAGE, study

        if output is not None and output.exists() and not output.is_dir():
            raise typer.BadParameter(f"{output} is a file: name a directory", param_hint="--output")
        artifact = study(
            name, store_at(store), Terminal(), pipeline=pipeline, run=run, settings=settings or [], overwrite=overwrite
        )
        if output is not None:
            _copy(artifact.path, output)
        facts = StudyFacts.of(artifact)
        for sentence in facts.seen:
            err.print(sentence, markup=False)
        err.print(f"{facts.artifacts} artifacts, {facts.seconds:,.0f} s of work in total", markup=False)
        page = hand_over(artifact.path / PAGE, None)
        printed: dict[str, Any] = {"page": page, "study": str(artifact.path / JSON), **artifact.facts}
        emit(artifact, as_json, **printed)

    return conduct


def _copy(source: Path, target: Path) -> None:
    import shutil

    from iodine_kit.studies import SUMMARY_FILES

    target.mkdir(parents=True, exist_ok=True)
    for name in SUMMARY_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
