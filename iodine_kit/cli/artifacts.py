"""The commands that look at artifacts: list, show, verify."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from iodine_kit.cli.options import DEFAULT_STORE, JsonOption, StoreOption

PlaceArgument = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Path, kind/name-key, or the key's beginning.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("list")(list_artifacts)
    app.command("show")(show)
    app.command("verify")(verify)


def list_artifacts(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """List all artifacts, the one used last at the end, and what was begun and not finished, or is damaged."""
    from iodine_kit.store import Store

    place = Store(store)
    artifacts = place.artifacts()
    if as_json:
        rows = [
            {"artifact": str(a.path), "key": a.manifest.key, "finished": a.manifest.made.get("finished", "?")}
            for a in artifacts
        ]
        typer.echo(json.dumps(rows))
        return
    for artifact in artifacts:
        size = sum(record.bytes for record in artifact.manifest.files.values())
        typer.echo(f"{artifact.manifest.made['finished']}  {_size(size):>9}  {artifact.path}")
    for path in place.damaged():
        typer.echo(f"{'damaged':36}  {path}  (its manifest cannot be read: make it again with --overwrite)")
    for path, identity in place.interrupted():
        advice = "run the same command to resume" if identity.stage == "train" else "run it again"
        typer.echo(f"{'interrupted':36}  {path}  ({identity.stage}: {advice})")


def show(place: PlaceArgument, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Show an artifact: what it is, its facts and configuration, and everything it was made from."""
    from iodine_kit.config import flatten
    from iodine_kit.store import Store

    shelf = Store(store)
    artifact = shelf.open(place)
    manifest = artifact.manifest
    if as_json:
        typer.echo(json.dumps(manifest.model_dump(mode="json", by_alias=True), ensure_ascii=False))
        return
    typer.echo(f"{artifact.path}\nkey      {manifest.key}\nfinished {manifest.made['finished']}")
    for title, values in {"facts": manifest.facts, "config": manifest.identity.config}.items():
        typer.echo(f"\n{title}")
        for name, value in flatten(values).items():
            typer.echo(f"  {name} = {_short(value)}")
    typer.echo("\nfiles")
    for path, record in manifest.files.items():
        typer.echo(f"  {record.sha256}  {_size(record.bytes):>9}  {path}")
    typer.echo("\nlineage")
    for depth, line in shelf.lineage(artifact):
        typer.echo("  " * (depth + 1) + line)


def verify(place: PlaceArgument, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Hash an artifact's files again, and its inputs', and compare with the manifests."""
    from iodine_kit.errors import ArtifactCorruptError
    from iodine_kit.store import Store

    shelf = Store(store)
    artifact = shelf.open(place)
    problems = shelf.verify(artifact)
    if as_json:
        typer.echo(json.dumps({"artifact": str(artifact.path), "problems": problems}))
    if problems:
        raise ArtifactCorruptError(f"{artifact.path}: {'; '.join(problems)}; make it again with --overwrite")
    if not as_json:
        typer.echo(f"{artifact.path}: {len(artifact.manifest.files)} files as they were made")


def _size(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1000 and unit < 3:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} B" if unit == 0 else f"{value:.1f} {' kMG'[unit]}B"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "…"
