"""What can be removed from a store: artifacts that nothing needs, stale drafts, and what killed processes left.

Whatever remains keeps everything that it was made from. Remaining are: artifacts with a tag, reports and studies, runs
and downloads (they take hours to make again), all that was used a short time ago, and drafts that may resume.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from iodine_kit.formatting import age
from iodine_kit.store.arrivals import ARRIVALS, UNPACKING
from iodine_kit.store.artifact import REMOVED, Artifact
from iodine_kit.store.contents import (
    Contents,
    DraftStatus,
    all_places,
    changed,
    contents,
    directory,
    entries,
    last_use,
    newest_change,
    size_of,
)
from iodine_kit.store.locks import LOCKS, STORE_LOCK, is_held, is_locked, lock_name
from iodine_kit.store.manifest import WRITING
from iodine_kit.store.store import Store
from iodine_kit.store.tags import FOLDER

DAY = 86_400.0
OLDER_THAN = 30 * DAY
"""Seconds since the last use after which an artifact that nothing needs is removed."""
LEFTOVER_AGE = 1 * DAY
"""Seconds after which a temporary file belongs to a process that was killed. Transfers that can resume stay longer."""
PRECIOUS = frozenset({"run", "download", "report", "study"})
"""Kinds that are removed only if the user names them: they take long to make again, or people read them."""

LEFTOVER = "leftover"


class Removal(NamedTuple):
    """Something to remove: its directory or file, what it is, its size in bytes, and why."""

    path: Path
    what: str
    size: int
    why: str


@dataclass(frozen=True)
class Rules:
    """What may be removed.

    Attributes:
        older_than: seconds since the last use.
        kinds: of artifacts; empty for all but the ``PRECIOUS`` ones.
        all_kinds: all, the ``PRECIOUS`` ones included.
    """

    older_than: float = OLDER_THAN
    kinds: frozenset[str] = frozenset()
    all_kinds: bool = False

    def allows(self, kind: str) -> bool:
        """Whether artifacts of this kind may be removed."""
        return self.all_kinds or (kind in self.kinds if self.kinds else kind not in PRECIOUS)


def removable(store: Store, rules: Rules, there: Contents | None = None) -> list[Removal]:
    """What the rules allow to remove, users before their inputs; nothing of it is needed by what remains.

    If the manifest of an artifact is so damaged that nobody knows what it needs, no artifact is removed.

    Args:
        there: what the store holds; it is read by default.
    """
    there = contents(store) if there is None else there
    found = _removable(store, there, rules, time.time(), list(_temporary(store.root)), newest_change)
    return [one._replace(size=size_of(one.path)) for one in found]


def still_removable(store: Store, rules: Rules, chosen: Sequence[Removal], there: Contents) -> list[Removal]:
    """Which of the chosen ones the rules still allow to remove. Reads no file below a directory.

    Args:
        there: what the store holds now, see :func:`iodine_kit.store.contents.contents`.
    """
    leftovers = [one.path for one in chosen if one.what == LEFTOVER and os.path.lexists(one.path)]
    allowed = {one.path for one in _removable(store, there, rules, time.time(), leftovers, changed)}
    return [one for one in chosen if one.path in allowed]


def _removable(
    store: Store,
    there: Contents,
    rules: Rules,
    now: float,
    leftovers: Iterable[Path],
    changed_at: Callable[[Path], float],
) -> list[Removal]:
    """What can be removed, with sizes of 0."""
    stale = [one for one in there.drafts if _is_stale(one, rules, now)]
    remaining = there.inputs.keys() - {directory(one.path) for one in stale}
    unused: dict[str, Artifact] = {}
    if not there.unknown:
        unused = {
            directory(one.path): one
            for one in there.artifacts
            if rules.allows(one.reference.kind) and now - last_use(one.path) > rules.older_than
            and directory(one.path) not in there.tags and not is_locked(one.path)
        }  # fmt: skip
        needed = needed_by(remaining - unused.keys(), there.inputs)
        unused = {name: one for name, one in unused.items() if name not in needed}
    found = [
        Removal(one.path, one.reference.kind, 0, f"not used for {age(now - last_use(one.path))}")
        for one in users_first(unused, there.inputs)
    ]
    active = needed_by([directory(one.path) for one in there.drafts if one.in_use], there.inputs)
    for one in stale:
        if directory(one.final) not in active:
            kind = f"interrupted {one.path.parent.name}"
            found.append(Removal(one.path, kind, 0, f"not continued for {age(now - one.changed)}"))
    locks = {STORE_LOCK, *(lock_name(path) for path in all_places(there))}
    found += [
        Removal(path, LEFTOVER, 0, "left by a process that was killed")
        for path in leftovers
        if not _is_in_use(path, locks) and _is_old(path, rules, now, changed_at)
    ]
    return found


def _is_stale(draft: DraftStatus, rules: Rules, now: float) -> bool:
    allowed = draft.identity is None or rules.allows(draft.identity.kind)
    return allowed and not draft.in_use and now - draft.changed > rules.older_than


def needed_by(names: Iterable[str], inputs: dict[str, set[str]]) -> set[str]:
    """Everything that some artifacts were made from, at any distance, given the direct inputs of each."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        new = inputs.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def users_first(chosen: dict[str, Artifact], inputs: dict[str, set[str]]) -> list[Artifact]:
    """Artifacts in an order in which none follows one that was made from it: removing may stop anywhere."""
    done: dict[str, Artifact] = {}
    waiting = [(name, False) for name in chosen]
    while waiting:
        name, inputs_are_done = waiting.pop()
        if inputs_are_done:
            done.setdefault(name, chosen[name])
        elif name not in done:
            waiting.append((name, True))
            waiting += [
                (one, False) for one in inputs.get(name, ()) if one in chosen and one not in done and one != name
            ]
    return list(reversed(done.values()))


def _is_in_use(leftover: Path, locks: Collection[str]) -> bool:
    if leftover.parent.name == LOCKS:
        return leftover.name in locks or is_held(leftover)
    return leftover.parent.name == ARRIVALS and is_locked(leftover)


def _is_old(leftover: Path, rules: Rules, now: float, changed_at: Callable[[Path], float]) -> bool:
    resumes = leftover.parent.name == ARRIVALS and not leftover.name.startswith(UNPACKING)
    oldest = rules.older_than if resumes else LEFTOVER_AGE
    return leftover.name.endswith(REMOVED) or now - changed_at(leftover) > oldest


def _temporary(root: Path) -> Iterator[Path]:
    """What exists only while a process works: temporary manifests and tags, arrivals, half removals, and locks."""
    for folder in entries(root):
        for path in entries(folder):
            is_tag = folder.name == FOLDER and path.suffix == ".tmp"
            if (
                folder.name in (LOCKS, ARRIVALS)
                or is_tag
                or path.name.startswith(WRITING)
                or path.name.endswith(REMOVED)
            ):
                yield path
            else:
                yield from (one for one in entries(path) if one.name.startswith(WRITING))
