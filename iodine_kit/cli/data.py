"""The commands on data sets: prepare, inspect, stats, export, datasets, protocols. They import stages when they run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from iodine_kit.cli.options import (
    ARTIFACT_HELP,
    DEFAULT_ENGINE,
    DEFAULT_STORE,
    AddressOption,
    EngineOption,
    JsonOption,
    OutputOption,
    OverwriteOption,
    PipelineOption,
    SetOption,
    StoreOption,
    check_output,
    engine_of,
    hand_over,
    input_artifact,
    store_at,
    tables_of,
)
from iodine_kit.process import print_json, print_path
from iodine_kit.system import expand_home, to_path

_EXAMPLE = "iodine-kit prepare tetrominoes --generate 2000"


def prepare(
    dataset: Annotated[
        str | None, typer.Argument(metavar="DATASET", help="Name of the data set; see iodine-kit datasets.")
    ] = None,
    generate: Annotated[int | None, typer.Option(metavar="N", help="Generate N scenes.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|URL",
            help="Published files: a file, folder, pattern or address (repeatable). Defaults to the public address.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Splits, filter and crop of a publication; see iodine-kit protocols."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N", help="Scenes per split (repeatable). Generated scenes default to 80, 10 and 10 %."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the generator. Defaults to 0.")] = None,
    format: Annotated[
        str | None, typer.Option(metavar="NAME", help="Storage format: hdf5 or webdataset. Defaults to hdf5.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Number of processes; the result does not depend on it.")
    ] = None,
    engine: EngineOption = DEFAULT_ENGINE,
    address: AddressOption = "",
    settings: SetOption = None,
    pipeline: PipelineOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a published data set, or generate one, to sharded HDF5 or WebDataset files.

    An interrupted preparation keeps its finished shards: repeat the same command to resume.

    'iodine-kit config prepare' lists all keys for --set.
    """
    from iodine_kit.artifacts.dataset import DatasetFacts
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.datasets import DATASETS
    from iodine_kit.runner import Context, run_stage
    from iodine_kit.stages import prepare as stage

    given = {
        "dataset": dataset, "generate": generate, "source": source, "protocol": protocol, "seed": seed,
        "format": format, "workers": workers,
    }  # fmt: skip
    options = {key: value for key, value in given.items() if value is not None}
    tables = tables_of(pipeline, settings, "prepare", {"prepare": options})
    if split:
        tables["prepare"]["split"] = _splits(split)
    if "dataset" not in tables["prepare"]:
        raise typer.BadParameter(f"name a data set: {', '.join(DATASETS.names())}", param_hint="DATASET")
    context = Context(store_at(store), Terminal(), overwrite, engine=engine_of(engine, address, workers or 1))
    artifact = run_stage(stage, tables, {}, context)
    emit(artifact, as_json, splits=DatasetFacts.of(artifact).splits)


def inspect(
    path: Annotated[str, typer.Argument(metavar="PATH", help="File or folder.")],
    settings: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what prepare would find in a file or folder: its layout, images, masks, splits, and what is skipped.

    Only --set layout.… and --set prepare.layout=NAME apply.
    """
    from iodine_kit.stages.prepare import inspect as inspected

    found = inspected(to_path(expand_home(path)), tables_of(None, settings, "prepare"))
    if as_json:
        print_json(dict(found.facts))
        return
    for line in found.lines:
        typer.echo(line)


def _splits(texts: list[str]) -> dict[str, int]:
    """``["train=1000"]`` as ``{"train": 1000}``."""
    splits: dict[str, int] = {}
    for text in texts:
        name, equals, count = text.partition("=")
        if not equals or not count.isdecimal():
            raise typer.BadParameter(f"'{text}' is not NAME=N, for example train=1000", param_hint="--split")
        if name in splits:
            raise typer.BadParameter(f"split '{name}' is given twice", param_hint="--split")
        splits[name] = int(count)
    return splits


def stats(
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET", help=f"{ARTIFACT_HELP} Defaults to the most recent.", show_default=False),
    ] = None,
    output: OutputOption = None,
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count objects, pixels, factors and repeated images of a data set; write one page and one JSON file.

    'iodine-kit config stats' lists all keys for --set.
    """
    from iodine_kit.artifacts.summaries import StatisticsFacts
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.cli.listings import show_statistics
    from iodine_kit.runner import Context, run_stage

    check_output(output)
    tables = tables_of(None, settings, "stats")
    place = store_at(store)
    data = input_artifact(place, dataset, "dataset", _EXAMPLE)
    from iodine_kit.stages import stats as stage

    artifact = run_stage(stage, tables, {"dataset": data}, Context(place, Terminal(), overwrite))
    show_statistics(StatisticsFacts.of(artifact))
    page = hand_over(artifact.path / stage.PAGE, output)
    emit(artifact, as_json, **{**artifact.facts, "page": page, "statistics": str(artifact.path / stage.STATISTICS)})


def export(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help=ARTIFACT_HELP)],
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", parser=to_path, help="Folder for the files; it is created.")
    ],
    split: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Split to export (repeatable). Defaults to all splits.")
    ] = None,
    compression: Annotated[
        Literal["gzip", "zlib", "none"] | None,
        typer.Option(help="Compression of TFRecord files. Defaults to gzip.", show_default=False),
    ] = None,
    croissant: Annotated[
        bool, typer.Option("--croissant", help="Write croissant.json and copies of the stored files instead.")
    ] = False,
    url: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where the files are published: croissant.json alone is written."),
    ] = "",
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the files' paths.")] = False,
) -> None:
    """Write a data set as TFRecord files in the layout of DeepMind's multi_object_datasets, one file per split.

    With --croissant, describe it for catalogues and search engines: JSON-LD with files, sha256, licence and fields.
    """
    from iodine_kit.cli.console import Terminal

    _check_export(croissant, compression is not None, url)
    data = input_artifact(store_at(store), dataset, "dataset", _EXAMPLE)
    written: dict[Path, int | None]
    if croissant:
        from iodine_kit.stages.croissant import export_croissant

        paths = export_croissant(data, output, Terminal(), splits=split or (), url=url, overwrite=overwrite)
        written = dict.fromkeys(paths)
    else:
        from iodine_kit.stages import export as stage

        written = dict(
            stage.export(
                data, output, Terminal(), splits=split or (), compression=compression or "gzip", overwrite=overwrite
            )
        )
    if as_json:
        files = {str(path): count for path, count in written.items()}
        print_json({"dataset": str(data.path), "files": list(files) if croissant else files})
        return
    for path in written:
        print_path(path)


def _check_export(croissant: bool, compressed: bool, url: str) -> None:
    """Refuse options that do not belong together."""
    if croissant and compressed:
        raise typer.BadParameter("is for TFRecord files: omit it with --croissant", param_hint="--compression")
    if url and not croissant:
        raise typer.BadParameter("needs --croissant", param_hint="--url")
    if url and not re.match(r"[a-z][a-z0-9+.-]*://[^/\s]+", url, re.IGNORECASE):
        raise typer.BadParameter(
            f"write the whole address, such as https://host/folder, not {url!r}", param_hint="--url"
        )


def datasets(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the data sets with their origin and layouts, and the storage formats."""
    from iodine_kit.cli import listings

    rows: dict[str, Any] = {"datasets": listings.datasets(), "formats": listings.formats()}
    if as_json:
        print_json(rows)
    else:
        listings.show_datasets(rows["datasets"], rows["formats"])


def protocols(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One protocol. Defaults to all.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the protocols: which records papers and code bases use for which split, and which they omit."""
    from iodine_kit.cli import listings

    rows = listings.protocols(name)
    if as_json:
        print_json(rows[0] if name else rows)
    elif name:
        listings.show_protocol(rows[0])
    else:
        listings.show_protocols(rows)
