"""The commands that look at data sets: stats, export, datasets, protocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from iodine_kit.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    OutputOption,
    OverwriteOption,
    SetOption,
    StoreOption,
    check_output,
    hand_over,
    input_artifact,
    store_at,
    tables_of,
)

_MAKE_ONE = "iodine-kit prepare tetrominoes --generate 2000"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("stats")(stats)
    app.command("export")(export)
    app.command("datasets")(datasets)
    app.command("protocols")(protocols)


def stats(
    dataset: Annotated[
        str | None, typer.Argument(metavar="DATASET", help="Left out, the newest.", show_default=False)
    ] = None,
    output: OutputOption = None,
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count what a data set holds: objects, pixels, factors, images that occur twice. One page, one JSON file.

    Keys to --set: stats.limit, the scenes of every split to look at; stats.scenes, those to picture; stats.title.
    """
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.cli.listings import show_statistics
    from iodine_kit.runner import Context, run_stage
    from iodine_kit.stages import stats as stage

    check_output(output)
    tables = tables_of(None, settings, stage.TABLES)
    place = store_at(store)
    data = input_artifact(place, dataset, "dataset", _MAKE_ONE)
    artifact = run_stage(stage, tables, {"dataset": data}, Context(place, Terminal(), overwrite))
    show_statistics(artifact.facts)
    page = hand_over(artifact.path / stage.PAGE, output)
    emit(artifact, as_json, **{**artifact.facts, "page": page, "statistics": str(artifact.path / stage.STATISTICS)})


def export(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Path, kind/name-key, or the key's beginning.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder for the files; it is created.")],
    split: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Split (repeatable); left out, all.")] = None,
    compression: Annotated[Literal["gzip", "zlib", "none"], typer.Option(help="Of the files.")] = "gzip",
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the files' paths.")] = False,
) -> None:
    """Write a data set as TFRecord files in the layout of DeepMind's multi_object_datasets, one file per split."""
    from iodine_kit.cli.console import Terminal
    from iodine_kit.stages import export as stage

    data = input_artifact(store_at(store), dataset, "dataset", _MAKE_ONE)
    written = stage.export(
        data, output, Terminal(), splits=split or (), compression=compression, overwrite=overwrite
    )  # fmt: skip
    if as_json:
        files = {str(path): count for path, count in written.items()}
        typer.echo(json.dumps({"dataset": str(data.path), "files": files}, ensure_ascii=False))
        return
    for path in written:
        typer.echo(str(path))


def datasets(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the data sets, where each comes from and the layouts that can hold it, and the storage formats."""
    from iodine_kit.cli import listings

    found: dict[str, Any] = {"datasets": listings.datasets(), "formats": listings.formats()}
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        listings.show_datasets(found["datasets"], found["formats"])


def protocols(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Left out, all.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what papers and code bases mean by a data set: which records go where, and what is left out."""
    from iodine_kit.cli import listings

    found = listings.protocols(name)
    if as_json:
        typer.echo(json.dumps(found[0] if name else found, ensure_ascii=False))
    elif name:
        listings.show_protocol(found[0])
    else:
        listings.show_protocols(found)
