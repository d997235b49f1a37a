"""The commands that share artifacts: push, pull."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iodine_kit.cli.options import ARTIFACT_HELP, DEFAULT_STORE, StoreOption, store_at
from iodine_kit.process import print_json, print_path, print_text

if TYPE_CHECKING:
    from iodine_kit.store import Manifest

_ADDRESS = "a folder, s3://BUCKET/PREFIX, gs://…, az://… or sftp://…"
_VARIABLE = "IODINE_KIT_REMOTE"
InputsOption = Annotated[
    bool, typer.Option("--without-inputs", help="Omit the artifacts that these were made from.", show_default=False)
]
JobsOption = Annotated[int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Most files at the same time.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def push(
    artifacts: Annotated[list[str], typer.Argument(metavar="ARTIFACT", help=ARTIFACT_HELP)],
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", envvar=_VARIABLE, help=f"The remote: {_ADDRESS}.")],
    without_inputs: InputsOption = False,
    jobs: JobsOption = 8,
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Send everything again; this repairs a damaged remote.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send artifacts, and everything they were made from, to a remote: a folder, a bucket, a server.

    What is there is not sent again, so an interrupted command resumes when it is repeated.
    """
    from iodine_kit.cli.console import Terminal
    from iodine_kit.remote.address import parse_address

    address = parse_address(to)
    shelf = store_at(store)
    chosen = [shelf.usable(shelf.open(place)) for place in artifacts]
    from iodine_kit.remote import Remote
    from iodine_kit.remote import push as send
    from iodine_kit.store.tags import PREFIX, find_tag

    tags = [find_tag(shelf, place.removeprefix(PREFIX)) for place in artifacts if place.startswith(PREFIX)]
    reporter = Terminal()
    result = send(
        shelf, chosen, Remote(address), reporter, inputs=not without_inputs, jobs=jobs, overwrite=overwrite,
        tags=tags,
    )  # fmt: skip
    reporter.note(f"{result.sentence('sent')}: {address.shown}")
    if as_json:
        print_json({"remote": address.shown, **result.as_json()})
        return
    for artifact in chosen:
        print_text(artifact.reference.directory)


def pull(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARTIFACT",
            help="KIND/NAME-KEY, the first digits of its key (at least 4), or tag:NAME. Defaults to a list of what the "
            "remote has.",
            show_default=False,
        ),
    ] = None,
    *,
    origin: Annotated[
        str,
        typer.Option("--from", metavar="ADDRESS", envvar=_VARIABLE, help=f"The remote: {_ADDRESS}, https://…."),
    ],
    without_inputs: InputsOption = False,
    jobs: JobsOption = 8,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Fetch artifacts, and everything they were made from, from a remote; without ARTIFACT, list what the remote has.

    Every file is checked by its sha256. An interrupted command resumes when it is repeated.
    """
    from iodine_kit.remote.address import parse_address

    address = parse_address(origin)
    if not artifacts:
        _list(origin, jobs, as_json)
        return
    from iodine_kit.cli.console import Terminal
    from iodine_kit.remote import Remote
    from iodine_kit.remote import pull as fetch

    reporter = Terminal()
    fetched, result = fetch(
        store_at(store), artifacts, Remote(address), reporter, inputs=not without_inputs, jobs=jobs
    )  # fmt: skip
    reporter.note(f"{result.sentence('fetched')}: {address.shown}")
    paths = [artifact.path for artifact in fetched]
    if as_json:
        print_json({"remote": address.shown, "paths": [str(path) for path in paths], **result.as_json()})
        return
    for path in paths:
        print_path(Path(path))


def _list(origin: str, jobs: int, as_json: bool) -> None:
    """Print what a remote has."""
    from iodine_kit.cli.console import Terminal
    from iodine_kit.formatting import byte_size
    from iodine_kit.remote import Remote, parse_address, survey, tags

    address = parse_address(origin)
    remote = Remote(address)
    found, damaged = survey(remote, jobs)
    for error in damaged.values():
        Terminal().note(f"not listed: {error}")
    names: dict[tuple[str, str], list[str]] = {}
    for tag in tags(remote):
        names.setdefault((tag.artifact.directory, tag.artifact.content), []).append(tag.name)
    rows = [
        _row(entry.directory, manifest, names.get((entry.directory, entry.content), [])) for entry, manifest in found
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        Terminal().note(f"no artifacts at {address.shown}")
    for row in rows:
        shown = "".join(f"  tag:{name}" for name in row.get("tags", []))
        print_text(f"{row['finished']}  {byte_size(row['bytes']):>9}  {row['artifact']}{shown}")


def _row(directory: str, manifest: Manifest, names: list[str]) -> dict[str, Any]:
    row = {
        "artifact": directory,
        "key": manifest.key,
        "content": manifest.content,
        "finished": str(manifest.made.get("finished", "?")),
        "bytes": sum(record.bytes for record in manifest.files.values()),
    }
    return {**row, "tags": names} if names else row
