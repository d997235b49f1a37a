"""What a store holds at this moment: artifacts, drafts, tags, and what each was made from; other processes may work."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iodine_kit.errors import IodineKitError
from iodine_kit.store.artifact import IDENTITY, PARTIAL, Artifact, draft_identity, load_artifact
from iodine_kit.store.locks import is_locked
from iodine_kit.store.manifest import KEY_IN_NAME, MANIFEST, Identity, read_manifest
from iodine_kit.store.store import Store
from iodine_kit.store.tags import all_tags, names_by_artifact

_NAME = re.compile(rf"[^.].*-[0-9a-f]{{{KEY_IN_NAME}}}")


@dataclass(frozen=True)
class DraftStatus:
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
        stamps: what changes with the file of a manifest, by directory.
        bare: see :func:`without_manifest`.
    """

    artifacts: list[Artifact]
    unreadable: list[Path]
    inputs: dict[str, set[str]]
    unknown: list[Path]
    drafts: list[DraftStatus]
    tags: dict[str, list[str]]
    stamps: dict[Path, tuple[int, ...]]
    bare: list[Path]


def final_of(path: Path) -> Path:
    """The directory that a ``.partial`` directory will become; any other path is unchanged."""
    return path.with_name(path.name[1 : -len(PARTIAL)]) if path.name.endswith(PARTIAL) else path


def directory(path: Path) -> str:
    """``kind/name-key12``, as references name it."""
    return f"{path.parent.name}/{path.name}"


def contents(store: Store, before: Contents | None = None) -> Contents:
    """Read all manifests, drafts and tags of a store.

    Drafts come first: one that a process finishes meanwhile is then seen twice, and never not at all.

    Args:
        before: what the store held a short time ago. Only manifests that changed since are read, and no files of
            drafts: a draft has changed since if a process resumed it.
    """
    folders = [path for kind in entries(store.root) for path in entries(kind)]
    partial = [path for path in folders if path.name.startswith(".") and path.name.endswith(PARTIAL)]
    drafts = [_draft(path, before) for path in partial]
    stamps = {path: _stamp(path / MANIFEST) for path in folders}
    same = _unchanged(before, stamps) if before is not None else {}
    artifacts, unreadable = store.survey(load=lambda path: same.get(path) or load_artifact(path))
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
    bare, names = without_manifest(store), names_by_artifact(tags)
    return Contents(artifacts, list(unreadable), inputs, unknown, drafts, names, stamps, bare)


def without_manifest(store: Store) -> list[Path]:
    """Folders that are called as artifacts are, and have no manifest: what is left of an artifact, or was copied."""
    folders = (path for kind in entries(store.root) if not kind.name.startswith(".") for path in entries(kind))
    return [
        path for path in folders
        if _NAME.fullmatch(path.name) and path.is_dir() and not os.path.lexists(path / MANIFEST) and not is_locked(path)
    ]  # fmt: skip


def _directories(identity: Identity) -> set[str]:
    return {one.directory for one in identity.inputs.values()}


def _inputs_of_damaged(path: Path) -> set[str] | None:
    """The inputs of an artifact whose manifest cannot be used; ``None`` if they are unknown."""
    try:
        listed = json.loads((path / MANIFEST).read_bytes())["identity"]["inputs"].values()
        return {f"{one['kind']}/{one['name']}-{one['key'][:12]}" for one in listed}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _draft(path: Path, before: Contents | None) -> DraftStatus:
    in_use = is_locked(final_of(path))
    identity = draft_identity(path)
    with suppress(IodineKitError):  # while it is being finished, only the manifest names its inputs
        identity = identity or read_manifest(path).identity
    return DraftStatus(path, identity, newest_change(path) if before is None else _change_since(before, path), in_use)


def _change_since(before: Contents, draft: Path) -> float:
    """When a draft changed for the last time, given its earlier state: whoever resumes it writes its identity again."""
    earlier = [one.changed for one in before.drafts if one.path == draft]
    return max(*earlier, *(changed(path) for path in (draft, draft / IDENTITY))) if earlier else time.time()


def _unchanged(before: Contents, stamps: dict[Path, tuple[int, ...]]) -> dict[Path, Artifact]:
    return {one.path: one for one in before.artifacts if stamps.get(one.path, ()) == before.stamps.get(one.path)}


def _stamp(manifest: Path) -> tuple[int, ...]:
    with suppress(OSError):
        status = manifest.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
    return ()


def newest_change(path: Path) -> float:
    """When a file, or anything in a directory, changed for the last time, in seconds since 1970."""
    return max(changed(one) for one in tree(path))


def changed(path: Path) -> float:
    """When a file or directory itself changed for the last time, in seconds since 1970; 0 if there is none."""
    with suppress(OSError):
        return path.lstat().st_mtime
    return 0.0


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
