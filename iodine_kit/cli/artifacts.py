"""The commands that look at artifacts: list, show, verify."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from iodine_kit.cli.options import ARTIFACT_HELP, DEFAULT_STORE, JsonOption, StoreOption
from iodine_kit.process import print_json, print_text

ArtifactArgument = Annotated[str, typer.Argument(metavar="ARTIFACT", help=ARTIFACT_HELP)]
JsonListOption = Annotated[bool, typer.Option("--json", help="Print a JSON list of the finished artifacts.")]


def list_artifacts(store: StoreOption = DEFAULT_STORE, as_json: JsonListOption = False) -> None:
    """List all artifacts, the most recently used last, then damaged and interrupted ones."""
    from iodine_kit.cli.console import Terminal
    from iodine_kit.formatting import byte_size
    from iodine_kit.store import Store

    place = Store(store)
    artifacts = place.artifacts()
    if as_json:
        rows = [
            {"artifact": str(a.path), "key": a.manifest.key, "finished": a.manifest.made.get("finished", "?")}
            for a in artifacts
        ]
        print_json(rows)
        return
    if not (artifacts or place.damaged() or place.interrupted()):
        Terminal().note(f"no artifacts in {store}")
    for artifact in artifacts:
        size = sum(record.bytes for record in artifact.manifest.files.values())
        print_text(f"{artifact.manifest.made['finished']}  {byte_size(size):>9}  {artifact.path}")
    for path in place.damaged():
        print_text(f"{'damaged':36}  {path}  (its manifest cannot be read: rebuild it with --overwrite)")
    for path, identity in place.interrupted():
        print_text(f"{'interrupted':36}  {path}  ({identity.stage}: repeat the command to resume)")


def show(place: ArtifactArgument, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Show an artifact: its facts, its configuration, its files, and everything it was made from."""
    from iodine_kit.config import flatten
    from iodine_kit.formatting import byte_size
    from iodine_kit.store import Store
    from iodine_kit.store.lineage import branches, drawn

    shelf = Store(store)
    artifact = shelf.open(place)
    manifest = artifact.manifest
    if as_json:
        print_json(manifest.model_dump(mode="json", by_alias=True))
        return
    print_text(f"{artifact.path}\nkey      {manifest.key}\nfinished {manifest.made['finished']}")
    for title, values in {"facts": manifest.facts, "config": manifest.identity.config}.items():
        print_text(f"\n{title}")
        for name, value in flatten(values).items():
            print_text(f"  {name} = {_short(value)}")
    print_text("\nfiles")
    for path, record in manifest.files.items():
        print_text(f"  {record.sha256}  {byte_size(record.bytes):>9}  {path}")
    print_text("\nlineage")
    print_text(f"  {artifact.reference.directory}")
    for line in drawn(branches(shelf, artifact)):
        print_text(f"  {line}")


def verify(place: ArtifactArgument, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Check the hashes of an artifact's files, and of its inputs' files, against the manifests."""
    from iodine_kit.errors import ArtifactCorruptError
    from iodine_kit.store import Store

    shelf = Store(store)
    artifact = shelf.open(place)
    problems = shelf.verify(artifact)
    if as_json:
        print_json({"artifact": str(artifact.path), "problems": problems})
    if problems:
        raise ArtifactCorruptError(f"{artifact.path}: {'; '.join(problems)}; rebuild it with --overwrite")
    if not as_json:
        print_text(f"{artifact.path}: {len(artifact.manifest.files)} files are unchanged")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "…"
