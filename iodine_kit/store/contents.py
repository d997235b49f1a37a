"""What a store holds at this moment: artifacts, drafts, tags, and what each was made from; other processes may work."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iodine_kit.errors import IodineKitError
from iodine_kit.store.artifact import PARTIAL, Artifact, draft_identity
from iodine_kit.store.locks import is_locked
from iodine_kit.store.manifest import MANIFEST, Identity, read_manifest
from iodine_kit.store.store import Store
from iodine_kit.store.tags import all_tags, names_by_artifact


@dataclass(frozen=True)
class Unfinished:
    """A ``.partial`` directory: what it will become, if that is known; when it last changed; whether it is in use."""

    path: Path
    identity: Identity | None
    changed: float
    in_use: bool

    @property
    def final(self) -> Path:
        """The directory that it will become."""
        return final_of(self.path)


@dataclass(frozen=True)
class Contents:
    """What is in a store.

    Attributes:
        artifacts: the finished ones.
        unreadable: finished ones whose manifest cannot be read.
        inputs: what each artifact and draft was made from, by directory ``kind/name-key12``.
        unknown: artifacts and tags whose files are so damaged that what they need is unknown.
        drafts: unfinished artifacts.
        tags: artifacts with a tag, and the names of their tags.
    """

    artifacts: list[Artifact]
    unreadable: list[Path]
    inputs: dict[str, set[str]]
    unknown: list[Path]
    drafts: list[Unfinished]
    tags: dict[str, list[str]]


def final_of(path: Path) -> Path:
    """The directory that a ``.partial`` directory will become; any other path is unchanged."""
    return path.with_name(path.name[1 : -len(PARTIAL)]) if path.name.endswith(PARTIAL) else path


def directory(path: Path) -> str:
    """``kind/name-key12``, as references name it."""
    return f"{path.parent.name}/{path.name}"


def contents(store: Store) -> Contents:
    """Read all manifests, drafts and tags of a store.

    Drafts come first: one that a process finishes meanwhile is then seen twice, and never not at all.
    """
    folders = [path for kind in entries(store.root) for path in entries(kind)]
    drafts = [_draft(path) for path in folders if path.name.startswith(".") and path.name.endswith(PARTIAL)]
    artifacts, unreadable = store.survey()
    tags, damaged = all_tags(store)
    inputs = {directory(one.path): _directories(one.manifest.identity) for one in artifacts}
    unknown = list(damaged)
    for path in unreadable:
        found = _inputs_of_damaged(path)
        inputs[directory(path)] = found or set()
        unknown += [path] * (found is None)
    for draft in drafts:
        if draft.identity is not None:
            inputs[directory(draft.path)] = _directories(draft.identity)
    return Contents(artifacts, list(unreadable), inputs, unknown, drafts, names_by_artifact(tags))


def _directories(identity: Identity) -> set[str]:
    return {one.directory for one in identity.inputs.values()}


def _inputs_of_damaged(path: Path) -> set[str] | None:
    """The inputs of an artifact whose manifest cannot be used; ``None`` if they are unknown."""
    try:
        listed = json.loads((path / MANIFEST).read_bytes())["identity"]["inputs"].values()
        return {f"{one['kind']}/{one['name']}-{one['key'][:12]}" for one in listed}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _draft(path: Path) -> Unfinished:
    in_use = is_locked(final_of(path))
    identity = draft_identity(path)
    with suppress(IodineKitError):  # while it is being finished, only the manifest names its inputs
        identity = identity or read_manifest(path).identity
    return Unfinished(path, identity, newest_change(path), in_use)


def newest_change(path: Path) -> float:
    """When a file, or anything in a directory, changed for the last time, in seconds since 1970."""
    newest = 0.0
    for one in tree(path):
        with suppress(OSError):
            newest = max(newest, one.lstat().st_mtime)
    return newest


def last_use(path: Path) -> float:
    """When an artifact was made, found up to date, or read as an input for the last time, in seconds since 1970."""
    with suppress(OSError):
        return max(path.stat().st_mtime, (path / MANIFEST).stat().st_mtime)
    return time.time()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    total = 0
    for one in tree(path):
        with suppress(OSError):
            total += one.lstat().st_size if not one.is_dir() else 0
    return total


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing if it is no folder, or was removed meanwhile, as any process may do."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def tree(path: Path) -> Iterator[Path]:
    """A file, or a directory and everything in it; what is removed meanwhile is passed over."""
    yield path
    for folder, folders, files in os.walk(path):
        yield from (Path(folder, name) for name in (*folders, *files))


def all_places(there: Contents) -> Collection[Path]:
    """The directories that finished and unfinished artifacts have or will have."""
    return {*(one.path for one in there.artifacts), *there.unreadable, *(one.final for one in there.drafts)}
