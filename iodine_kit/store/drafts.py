"""Artifacts in the making, ``root/kind/.name-key12.partial``. Looking at them takes no lock: their makers go on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from iodine_kit.errors import ArtifactNotFoundError
from iodine_kit.store.identity import KEY_IN_NAME, Identity

IDENTITY = "identity.json"
SHORTEST_KEY = 4
Begun = tuple[Path, Identity]
"""A draft's folder, and what it is to become."""


def drafts(root: Path, kind: str = "*") -> list[Begun]:
    """All drafts below a store's root, of a kind if one is given, the one begun last at the end."""
    found: list[tuple[int, Path, Identity]] = []
    for path in root.glob(f"{kind}/.*.partial/{IDENTITY}"):
        with suppress(FileNotFoundError):  # it was finished meanwhile
            identity = identity_of(path.parent)
            if identity is not None:
                found.append((path.stat().st_mtime_ns, path.parent, identity))
    return [(folder, identity) for _, folder, identity in sorted(found, key=lambda draft: draft[:2])]


def identity_of(folder: Path) -> Identity | None:
    """What the draft in a folder is to become; ``None`` if there is none."""
    with suppress(OSError, ValueError):
        return Identity.model_validate_json((folder / IDENTITY).read_bytes())
    return None


def open_draft(root: Path, place: str, kind: str) -> Begun:
    """A draft by its folder, by the directory that it is to become, or by the beginning of its key.

    Raises:
        ArtifactNotFoundError: if none fits, or several do.
    """
    name = Path(place).name
    found = [draft for draft in drafts(root, kind) if _is_called(draft, name)]
    if len(found) != 1:
        fits = f"it fits {len(found)} unfinished ones" if found else f"no {kind} of this name is unfinished"
        raise ArtifactNotFoundError(f"{place}: {fits} in {root}; 'iodine-kit list' shows what was interrupted")
    return found[0]


def _is_called(draft: Begun, name: str) -> bool:
    folder, identity = draft
    directory = f"{identity.name}-{identity.key[:KEY_IN_NAME]}"
    named = len(name) >= len(identity.name) + 1 + SHORTEST_KEY and directory.startswith(name)
    return name == folder.name or named or (len(name) >= SHORTEST_KEY and identity.key.startswith(name))
