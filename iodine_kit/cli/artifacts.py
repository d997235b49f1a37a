"""The commands that look at artifacts: list, show, diff, verify."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from iodine_kit.cli.options import ARTIFACT_HELP, DEFAULT_STORE, PrintJsonOption, StoreOption, store_at
from iodine_kit.cli.other_commands import completed
from iodine_kit.process import print_json, print_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iodine_kit.errors import IodineKitError
    from iodine_kit.store import Artifact, Store
    from iodine_kit.store.artifact import Unfinished
    from iodine_kit.store.queries import Row

Order = Literal["used", "size", "name"]
ArtifactArgument = Annotated[str, typer.Argument(metavar="ARTIFACT", help=ARTIFACT_HELP)]
JsonListOption = Annotated[bool, typer.Option("--json", help="Print a JSON list of the finished artifacts.")]
KindOption = Annotated[
    list[str] | None, typer.Option("--kind", metavar="KIND", help="Only of this kind, such as run (repeatable).")
]
_DAY = 86_400.0


def list_artifacts(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="Only artifacts whose name, purpose, tags, command or configuration contain this text.",
            show_default=False,
        ),
    ] = None,
    kind: KindOption = None,
    name: Annotated[
        str, typer.Option("--name", metavar="PATTERN", help="Only artifacts with this name, such as 'iodine-*'.")
    ] = "",
    unused: Annotated[
        bool, typer.Option("--unused", help="Only artifacts without a tag that no other artifact was made from.")
    ] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", min=0, help="Only artifacts not used for this long.")
    ] = 0.0,
    tag: Annotated[
        str, typer.Option("--tag", metavar="PATTERN", help="Only artifacts with such a tag; '*' for any tag.")
    ] = "",
    sort: Annotated[Order, typer.Option(help="Order: the most recently used or largest artifact is last.")] = "used",
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonListOption = False,
) -> None:
    """List artifacts, the most recently used last, then damaged and interrupted ones, and those that are being made.

    A line has the time since the last use, the size, the number of artifacts that were made from it, the path, tags and
    the purpose.
    """
    from iodine_kit.cli.console import Terminal
    from iodine_kit.store.artifact import find_drafts
    from iodine_kit.store.contents import without_manifest
    from iodine_kit.store.queries import Filter, rows, sorted_rows
    from iodine_kit.store.tags import all_tags, names_by_artifact

    place = store_at(store)
    check_kinds(kind or (), place)
    artifacts, unreadable = place.survey()
    tags, damaged_tags = all_tags(place)
    wanted = Filter(kind or (), name, unused, older_than * _DAY, tag, text or "")
    now = time.time()
    found = [row for row in rows(artifacts, names_by_artifact(tags)) if wanted.accepts(row, now)]
    found = sorted_rows(found, sort)
    if as_json:
        print_json([_as_json(row) for row in found])
        return
    _print_rows(found, now)
    drafts, interrupted, bare = find_drafts(place.root), place.interrupted(), without_manifest(place)
    if wanted == Filter():
        _print_unusable(unreadable, damaged_tags)
        _print_bare(bare)
        _print_unfinished(drafts, interrupted)
    if not (artifacts or unreadable or drafts or bare):
        Terminal().note(f"no artifacts in {store}" + ("" if store.exists() else ": this folder does not exist"))
    elif not found and artifacts:
        Terminal().note(f"none of {len(artifacts)} artifacts in {store} fits")


def check_kinds(kinds: Iterable[str], store: Store) -> None:
    """Refuse a kind that no stage makes and no artifact of the store has: it is a typing mistake."""
    from iodine_kit.errors import did_you_mean
    from iodine_kit.store.queries import KINDS

    known = {*KINDS, *(path.parent.parent.name for path in store.root.glob("*/[!.]*/manifest.json"))}
    for kind in kinds:
        if kind not in known:
            raise typer.BadParameter(f"there is no kind '{kind}'{did_you_mean(kind, known)}", param_hint="--kind")


def _as_json(row: Row) -> dict[str, Any]:
    from datetime import UTC, datetime

    artifact = row.artifact
    optional = {"used_by": list(row.users), "tags": list(row.tags), "purpose": artifact.purpose, "problem": row.problem}
    return {
        "artifact": str(artifact.path),
        "key": artifact.manifest.key,
        "finished": artifact.manifest.made.get("finished", "?"),
        "kind": artifact.reference.kind,
        "bytes": row.size,
        "used": datetime.fromtimestamp(row.used, UTC).isoformat(timespec="seconds"),
        **{name: value for name, value in optional.items() if value},
    }


def _print_rows(found: list[Row], now: float) -> None:
    from iodine_kit.formatting import age, byte_size

    paths = [str(row.artifact.path) for row in found]
    width = min(max(map(len, paths), default=0), 80)
    if found and sys.stdout.isatty():  # a script gets artifacts only
        print_text(f"{'age':>8}  {'size':>9}  {'used by':>7}  {'artifact':<{width}}  tags, purpose")
    for row, path in zip(found, paths, strict=True):
        words = [f"tag:{name}" for name in row.tags] + [f"({row.artifact.purpose})"] * bool(row.artifact.purpose)
        words += [f"(damaged: {row.problem})"] * bool(row.problem)
        line = f"{age(now - row.used):>8}  {byte_size(row.size):>9}  {len(row.users):>7}  {path:<{width}}"
        print_text(f"{line}  {' '.join(words)}".rstrip())


def _print_unusable(unreadable: dict[Path, IodineKitError], damaged_tags: list[Path]) -> None:
    from iodine_kit.errors import SchemaError
    from iodine_kit.store.manifest import REBUILD

    for path, error in unreadable.items():
        newer = "a newer iodine-kit made it: 'iodine-kit show' names the version"
        remedy = newer if isinstance(error, SchemaError) else f"its manifest cannot be read: {REBUILD}"
        state = "newer" if isinstance(error, SchemaError) else "damaged"
        print_text(f"{state:<26}  {path}  ({completed(remedy)})")
    for path in damaged_tags:
        remedy = completed(f"delete it with 'iodine-kit tag --delete {path.stem}'")
        print_text(f"{'damaged':<26}  {path}  ({remedy})")


def _print_bare(folders: list[Path]) -> None:
    for path in folders:
        remedy = completed(f"remove it with 'iodine-kit gc {path.parent.name}/{path.name}'")
        print_text(f"{'damaged':<26}  {path}  (it has no manifest.json: {remedy})")


def _print_unfinished(drafts: list[Unfinished], interrupted: list[Unfinished]) -> None:
    """Two drafts of a stage may look alike; their commands tell them apart."""
    from iodine_kit.store.artifact import CODE
    from iodine_kit.store.made import begun_by

    stopped = {one.directory for one in interrupted}
    for path, identity in drafts:
        command = shlex.join(begun_by(path / CODE).get("command", []))
        state, remedy = ("interrupted", "repeat the command to resume") if path in stopped else ("in progress", "")
        what = ": ".join(filter(None, [identity.stage, remedy, command]))
        print_text(f"{state:<26}  {path}  ({what})")


def show(place: ArtifactArgument, store: StoreOption = DEFAULT_STORE, as_json: PrintJsonOption = False) -> None:
    """Show an artifact: its facts, configuration, files and tags, everything it was made from, and what uses it."""
    shelf = store_at(store)
    artifact = shelf.open(place)
    tags, used_by = _names_of(shelf, artifact)
    if as_json:
        optional = {"tags": tags, "used_by": used_by, "lineage": _lineage_as_json(shelf, artifact)}
        shown = {name: value for name, value in optional.items() if value}
        print_json({**artifact.manifest.model_dump(mode="json", by_alias=True), **shown})
        return
    print_text(f"{artifact.path}\nkey      {artifact.manifest.key}")
    heads = {
        "finished": artifact.manifest.made.get("finished", "?"), "tags": ", ".join(tags), "purpose": artifact.purpose
    }  # fmt: skip
    for title, value in heads.items():
        if value:
            print_text(f"{title:<8} {value}")
    _print_manifest(artifact)
    _print_lineage(shelf, artifact, used_by)


def _print_manifest(artifact: Artifact) -> None:
    from iodine_kit.config import flatten
    from iodine_kit.formatting import byte_size

    for title, values in {"facts": artifact.facts, "config": artifact.config}.items():
        print_text(f"\n{title}")
        for name, value in flatten(values).items():
            print_text(f"  {name} = {_short(value)}")
    print_text("\nfiles")
    for path, record in artifact.manifest.files.items():
        print_text(f"  {record.sha256}  {byte_size(record.bytes):>9}  {path}")


def _print_lineage(store: Store, artifact: Artifact, used_by: list[str]) -> None:
    from iodine_kit.store.lineage import branches, drawn

    print_text(f"\nlineage\n  {artifact.reference.directory}")
    for line in drawn(branches(store, artifact)):
        print_text(f"  {line}")
    print_text("\nused by")
    for user in used_by or ["no other artifact"]:
        print_text(f"  {user}")


def _names_of(store: Store, artifact: Artifact) -> tuple[list[str], list[str]]:
    """The tags of an artifact, and the artifacts that name it as an input."""
    from iodine_kit.store.lineage import users
    from iodine_kit.store.tags import all_tags, names_by_artifact

    own = artifact.reference.directory
    used_by = users(store.artifacts()).get(own, [])
    return names_by_artifact(all_tags(store)[0]).get(own, []), [user.reference.directory for user in used_by]


def _lineage_as_json(store: Store, artifact: Artifact) -> list[dict[str, str]]:
    """The inputs of an artifact and of its inputs, each once, with their status."""
    from iodine_kit.store.lineage import inputs_of

    found: dict[str, dict[str, str]] = {}
    waiting = [artifact]
    while waiting:
        for one in inputs_of(store, waiting.pop(0)):
            if one.reference.directory not in found:
                found[one.reference.directory] = {"artifact": one.reference.directory, "status": one.status}
                waiting += [one.artifact] if one.artifact else []
    return list(found.values())


def verify(place: ArtifactArgument, store: StoreOption = DEFAULT_STORE, as_json: PrintJsonOption = False) -> None:
    """Check the hashes of an artifact's files, and of its inputs' files, against the manifests."""
    from iodine_kit.errors import ArtifactCorruptError
    from iodine_kit.formatting import counted
    from iodine_kit.store.lineage import closure
    from iodine_kit.store.remedies import damage_error

    shelf = store_at(store)
    artifact = shelf.open(place)
    problems = shelf.verify(artifact)
    if as_json:
        print_json({"artifact": str(artifact.path), "problems": problems})
    if problems:
        if not any(one.startswith("its ") for one in problems):
            raise damage_error(artifact, problems)
        how = "make the inputs again first: 'iodine-kit verify INPUT' says how"
        raise ArtifactCorruptError(f"{artifact.path}: {'; '.join(problems)}; {how}")
    if not as_json:
        files, inputs = len(artifact.manifest.files), len(closure(shelf, [artifact])) - 1
        below = f", and so are all files of {counted(inputs, 'input')}" if inputs else ""
        print_text(f"{artifact.path}: {counted(files, 'file')} {'is' if files == 1 else 'are'} unchanged{below}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "…"
