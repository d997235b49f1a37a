"""The commands that move artifacts as one file: pack and unpack."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from iodine_kit.cli.options import ARTIFACT_HELP, DEFAULT_STORE, StoreOption, store_at
from iodine_kit.process import print_json, print_path
from iodine_kit.system import storage_errors, to_path

if TYPE_CHECKING:
    from iodine_kit.store import Store
    from iodine_kit.store.archive import Unpacked

_STREAM = Path("-")
JsonObjectOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def pack(
    places: Annotated[list[str], typer.Argument(metavar="ARTIFACT...", help=ARTIFACT_HELP)],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="FILE", parser=to_path, help="The archive to write; - for standard output."),
    ],
    without_inputs: Annotated[
        bool, typer.Option("--without-inputs", help="Omit what the artifacts were made from.", show_default=False)
    ] = False,
    with_downloads: Annotated[
        bool, typer.Option("--with-downloads", help="Add the downloaded files of data sets, too.", show_default=False)
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: JsonObjectOption = False,
) -> None:
    """Write artifacts, and everything they were made from, into one tar archive.

    The same artifacts give the same bytes. 'iodine-kit unpack FILE' adds them to another store.
    """
    from iodine_kit.cli.console import Terminal
    from iodine_kit.errors import ResumeError
    from iodine_kit.formatting import byte_size, counted
    from iodine_kit.new_file import new_file
    from iodine_kit.store.archive import pack as write
    from iodine_kit.store.lineage import closure

    shelf = store_at(store)
    if output == _STREAM and (as_json or sys.stdout.isatty()):
        raise typer.BadParameter("standard output must be a pipe or a file, without --json", param_hint="--output")
    if output.is_dir():
        raise typer.BadParameter(f"{output} is a directory: name a file", param_hint="--output")
    if output.exists() and output != _STREAM and not overwrite:
        raise ResumeError(f"{output}: exists already; replace it with --overwrite")
    chosen = list({one.path: one for one in map(shelf.open, places)}.values())
    artifacts = chosen if without_inputs else closure(shelf, chosen, downloads=with_downloads)
    if output == _STREAM:
        write(artifacts, sys.stdout.buffer, Terminal())
        sys.stdout.buffer.flush()
        return
    with storage_errors(output, "written"):
        output.parent.mkdir(parents=True, exist_ok=True)
    with storage_errors(output, "written"), new_file(output) as stream:
        size = write(artifacts, stream, Terminal())
    Terminal().note(f"{counted(len(artifacts), 'artifact')}, {byte_size(size)}")
    if as_json:
        print_json({"archive": str(output), "artifacts": [one.reference.directory for one in artifacts], "bytes": size})
    else:
        print_path(output)


def unpack(
    archive: Annotated[
        Path, typer.Argument(metavar="FILE", parser=to_path, help="An archive that pack wrote; - for standard input.")
    ],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonObjectOption = False,
) -> None:
    """Add the artifacts of an archive to the store, after every byte was checked; prints their paths.

    If anything is wrong, nothing changes. Artifacts that the store has already are skipped.
    """
    from iodine_kit.system import storage_errors

    shelf = store_at(store)
    if archive == _STREAM:
        unpacked = _read(sys.stdin.buffer, shelf, "standard input", 0)
    else:
        with storage_errors(archive), archive.open("rb") as stream:
            unpacked = _read(stream, shelf, archive, archive.stat().st_size)
    if as_json:
        print_json({"archive": str(archive), "artifacts": _rows(unpacked)})
    else:
        for one in unpacked.artifacts:
            print_path(one.path)


def _rows(unpacked: Unpacked) -> list[dict[str, str]]:
    rows = []
    for one in unpacked.artifacts:
        status = "skipped" if one.reference.directory in unpacked.there else "added"
        rows.append({"artifact": str(one.path), "key": one.manifest.key, "status": status})
    return rows


def _read(stream: BinaryIO, store: Store, place: object, size: int) -> Unpacked:
    from iodine_kit.cli.console import Terminal
    from iodine_kit.formatting import counted
    from iodine_kit.store.archive import unpack as read

    unpacked = read(stream, store, Terminal(), place, size)
    skipped = f"; {len(unpacked.there)} were in the store already" if unpacked.there else ""
    Terminal().note(f"{counted(len(unpacked.artifacts), 'artifact')}{skipped}")
    return unpacked
