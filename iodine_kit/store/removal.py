"""Removing from a store: what the user names, unless it is in use. A rename hides it first, so that no half is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from iodine_kit.errors import IodineKitError, ResumeError
from iodine_kit.store.artifact import PARTIAL, REMOVED, SHORTEST_KEY, matching_drafts
from iodine_kit.store.contents import Contents, contents, directory, final_of, size_of
from iodine_kit.store.garbage import Removal, users_first
from iodine_kit.store.locks import LOCKS, gate, is_locked, lock_name, locked
from iodine_kit.store.manifest import KEY_IN_NAME, REBUILD
from iodine_kit.store.store import Store
from iodine_kit.system import storage_errors, to_path


def named(store: Store, places: Sequence[str], there: Contents | None = None) -> list[Removal]:
    """The artifacts that the user names, also interrupted and damaged ones, users before their inputs.

    Args:
        there: what the store holds; it is read by default.

    Raises:
        ArtifactNotFoundError: if there is no such artifact.
        ResumeError: if one is in use: it has a tag, something else was made from it, or a process is making it.
    """
    there = contents(store) if there is None else there
    paths = list(dict.fromkeys(_find(store, there, place) for place in places))
    refuse_if_used(paths, there)
    names = {directory(path) for path in paths}
    finished = {directory(one.path): one for one in there.artifacts if directory(one.path) in names}
    ordered = [one.path for one in users_first(finished, there.inputs)]
    others = [path for path in paths if path not in ordered]
    return [Removal(path, _what(path, there), size_of(path), "named") for path in (*others, *ordered)]


def _find(store: Store, there: Contents, place: str) -> Path:
    """The directory of a finished artifact, or else of a damaged or interrupted one."""
    try:
        own = directory(store.open(place).path)
        return next(one.path for one in there.artifacts if directory(one.path) == own)
    except IodineKitError:
        begun = {draft.directory for draft in matching_drafts(store.root, place)}
        begun |= {draft.path for draft in there.drafts if draft.path.name == Path(place).name}
        found = [path for path in (*there.unreadable, *there.bare) if _is_called(path, place)] or sorted(begun)
        if len(found) != 1:
            raise
        return found[0]


def _is_called(path: Path, place: str) -> bool:
    beginning = place if len(place) >= SHORTEST_KEY else path.name
    is_key = path.name.rpartition("-")[2].startswith(beginning[:KEY_IN_NAME])
    return is_key or place in (path.name, directory(path)) or to_path(place).absolute() == path.absolute()


def _what(path: Path, there: Contents) -> str:
    kind = path.parent.name
    if path.name.endswith(PARTIAL):
        return f"interrupted {kind}"
    return f"damaged {kind}" if path in (*there.unreadable, *there.bare) else kind


def refuse_if_used(paths: Sequence[Path], there: Contents) -> None:
    """Raise :class:`ResumeError` if one of these artifacts is in use, unless only by others of them."""
    names = {directory(path) for path in paths}
    for path in paths:
        _refuse_if_used(path, names, there)


def _refuse_if_used(path: Path, names: Collection[str], there: Contents) -> None:
    final = final_of(path)
    if is_locked(final):
        raise ResumeError(f"{path}: a process is working on it; wait until it ends")
    if tags := there.tags.get(directory(path)):
        remedy = f"delete the tag first: iodine-kit tag --delete {tags[0]}"
        raise ResumeError(f"{path}: the tag '{tags[0]}' names it; {remedy}")
    if path != final and final.exists():
        return  # what was made from the finished artifact does not need the interrupted one
    own = {directory(path), directory(final), *names}
    users = sorted(name for name, inputs in there.inputs.items() if directory(final) in inputs and name not in own)
    if users:
        made = f"{users[0]} and {len(users) - 1} more were" if len(users) > 1 else f"{users[0]} was"
        them = "them" if len(users) > 1 else "it"
        if path in (*there.unreadable, *there.bare):
            raise ResumeError(f"{path}: {made} made from it; {REBUILD}, or name {them} too, to remove all")
        raise ResumeError(f"{path}: {made} made from it; name {them} too, to remove all")


def remove(
    store: Store, chosen: Sequence[Removal], before: Contents, still: Callable[[Contents], Sequence[Removal]]
) -> list[Removal]:
    """Remove what was chosen, unless it has come into use since; returns what was removed.

    Nobody can begin to use an artifact meanwhile: drafts begin in the same lock. An interruption leaves hidden
    directories that the next removal deletes, never half an artifact.

    Args:
        chosen: what the user has seen.
        before: what the store held when it was chosen.
        still: says, inside the lock, which of the chosen ones may be removed, given what the store holds then. All that
            begins in this store waits for it.

    Raises:
        StorageError: if the store cannot be written.
    """
    removed: list[tuple[Removal, Path]] = []
    with storage_errors(store.root, "written"), gate(store.root):
        allowed = {one.path for one in still(contents(store, before))}
        for one in chosen:
            if one.path in allowed and (hidden := _hide(one.path)) is not None:
                removed.append((one, hidden))
        for _, hidden in removed:
            if hidden.is_file():  # within the lock, because it can be a lock
                hidden.unlink(missing_ok=True)
    for _, hidden in removed:
        shutil.rmtree(hidden, ignore_errors=True)
    return [one for one, _ in removed]


def _hide(path: Path) -> Path | None:
    """Rename something so that it is no artifact any more; ``None`` if a process has begun to work on it."""
    if path.is_file() or path.name.endswith(REMOVED):
        return path
    final, hidden = final_of(path), path.with_name(f".{path.name}{REMOVED}")
    with suppress(ResumeError, FileNotFoundError), locked(final):
        shutil.rmtree(hidden, ignore_errors=True)
        path.rename(hidden)
        if not final.exists():
            (path.parents[1] / LOCKS / lock_name(final)).unlink(missing_ok=True)
        return hidden
    return None
