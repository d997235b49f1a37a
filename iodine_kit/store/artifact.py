"""One artifact on disk: finished, ``root/kind/name-key12``, or a draft, ``root/kind/.name-key12.partial``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from iodine_kit.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    IodineKitError,
    ResumeError,
    SchemaError,
    StorageError,
)
from iodine_kit.store.locks import locked
from iodine_kit.store.manifest import (
    KEY_IN_NAME,
    MANIFEST,
    REBUILD,
    WRITING,
    Identity,
    Manifest,
    Reference,
    build_manifest,
    find_problems,
    read_manifest,
    write_manifest,
)
from iodine_kit.system import storage_error

IDENTITY = "identity.json"
CODE = "code.json"
"""File of a draft: the code that began it, so that one that resumes it can compare."""
PARTIAL = ".partial"
"""End of the name of an unfinished artifact's directory, hidden."""
REPLACED = ".replaced"
"""End of the name of an artifact's directory, hidden, while a new one takes its place."""
REMOVED = ".removed"
"""End of the name, hidden, of what is about to be deleted."""
DISCARDED = f".state{REMOVED}"
"""End of the name of a directory, hidden, for files of a draft that are no part of the artifact."""
LOOKS = 3
"""How often to look for an artifact: for a moment there is none while another process replaces it."""
SHORTEST_KEY = 4
"""Fewest digits of a key that users must give."""


@dataclass(frozen=True)
class Artifact:
    """A finished artifact."""

    path: Path
    manifest: Manifest = field(repr=False)

    @property
    def reference(self) -> Reference:
        """How other artifacts refer to this one."""
        return self.manifest.reference

    @property
    def facts(self) -> dict[str, Any]:
        """What its stage computed: counts, metrics, …"""
        return self.manifest.facts

    @property
    def purpose(self) -> str:
        """What it was made for, such as ``study seeds``; "" for an artifact that was made for its own sake."""
        recorded = self.manifest.made.get("purpose")
        if recorded is None and self.manifest.made.get("command", [])[1:2] == ["study"]:
            return "study"  # made before purposes were recorded
        return str(recorded or "")

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that shaped it, by table."""
        return self.manifest.identity.config

    def problems(self, *, hash_up_to: int) -> list[str]:
        """As :func:`find_problems`, also while another process removes or replaces it."""
        try:
            return find_problems(self.path, self.manifest, hash_up_to=hash_up_to)
        except FileNotFoundError as error:
            return [f"{error.filename} is missing"]


@dataclass(frozen=True)
class Draft:
    """An artifact that is being made; ``commit`` makes it visible.

    Attributes:
        path: the directory to fill.
        final: the directory that it will become.
        keep: pattern of the files that allow an interrupted draft to resume.
    """

    path: Path
    identity: Identity
    final: Path
    keep: str = ""

    def commit(self, facts: Mapping[str, Any], made: Mapping[str, Any]) -> Artifact:
        """Hash the files, write the manifest, and rename the directory.

        The files that allow a draft to resume are moved away, and deleted last; they are not part of the artifact. From
        the moment that the first one is gone, the draft is complete: :func:`recover_replacement` finishes the commit.
        """
        scratch = [self.path / IDENTITY, self.path / CODE, *self.path.glob("*.tmp"), *self.path.glob(f"{WRITING}*")]
        scratch += self.path.glob(self.keep) if self.keep else ()
        manifest = build_manifest(self.path, self.identity, facts, made, omit={path.name for path in scratch})
        write_manifest(self.path, manifest)
        _sync(self.path)
        _move(scratch, _discarded(self.final))
        _publish(self.path, self.final)
        return Artifact(self.final, manifest)


class Unfinished(NamedTuple):
    """A draft that exists on disk: its directory, and the identity of the artifact that it will become."""

    directory: Path
    identity: Identity


def find_drafts(root: Path, kind: str = "*") -> list[Unfinished]:
    """All drafts of a kind in the store at ``root``, the most recently started one last. Takes no lock."""
    drafts: list[tuple[int, Path, Identity]] = []
    for path in root.glob(f"{kind}/.*{PARTIAL}/{IDENTITY}"):
        with suppress(FileNotFoundError):  # it was finished in the meantime
            identity = draft_identity(path.parent)
            if identity is not None:
                drafts.append((path.stat().st_mtime_ns, path.parent, identity))
    return [Unfinished(directory, identity) for _, directory, identity in sorted(drafts, key=lambda one: one[:2])]


def draft_identity(directory: Path) -> Identity | None:
    """The identity of the draft in a directory; ``None`` if there is none that this user may read."""
    path = directory / IDENTITY
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
        return Identity.model_validate_json(path.read_bytes())
    return None


def open_draft(root: Path, place: str, kind: str) -> Unfinished:
    """Open a draft by its directory, by the directory that it will become, or by the first digits of its key.

    Raises:
        ArtifactNotFoundError: if no draft matches, or several do.
    """
    matches = matching_drafts(root, place, kind)
    if len(matches) != 1:
        reason = f"{len(matches)} unfinished {kind}s match" if matches else f"no unfinished {kind} matches"
        raise ArtifactNotFoundError(f"{place}: {reason} in {root}; 'iodine-kit list' shows interrupted ones")
    return matches[0]


def matching_drafts(root: Path, place: str, kind: str = "*") -> list[Unfinished]:
    """The drafts of a kind that ``place`` could mean: see :func:`open_draft`."""
    name = Path(place).name
    return [draft for draft in find_drafts(root, kind) if _matches(draft, name)]


def is_complete(draft: Path) -> bool:
    """Whether the directory of a draft has everything that the artifact will have, so that only its name is missing."""
    return (draft / MANIFEST).is_file() and not (draft / IDENTITY).exists()


def draft_error(error: OSError, draft: Path) -> IodineKitError:
    """What to raise if the operating system refused to read or write a draft; says whether anything is left of it."""
    refused = storage_error(error, error.filename or draft, "read or written")
    left = "finished work is kept" if draft.exists() else "no incomplete artifact was left"
    return type(refused)(f"{refused}; {left}")


def recover_replacement(final: Path) -> None:
    """Undo or finish a commit that a crash interrupted: the old artifact counts until the new one is in place."""
    replaced, draft = _replaced(final), final.with_name(f".{final.name}{PARTIAL}")
    if replaced.exists() and not final.exists():
        replaced.rename(final)
    for folder in (replaced, _discarded(final)):
        shutil.rmtree(folder, ignore_errors=True)
    if not is_complete(draft):
        return
    with suppress(ArtifactCorruptError):
        manifest = read_manifest(draft)
        listed = {MANIFEST, *(path.partition("/")[0] for path in manifest.files)}
        _move([path for path in draft.iterdir() if path.name not in listed], _discarded(final))
        if manifest.reference.directory.endswith(f"/{final.name}") and not find_problems(draft, manifest):
            _publish(draft, final)


def _publish(complete: Path, final: Path) -> None:
    """Give a complete draft its name, in place of an older artifact."""
    if final.exists():
        final.rename(_replaced(final))
    complete.rename(final)  # at once: between the two, readers see no artifact and have to wait
    for folder in (_replaced(final), _discarded(final)):
        shutil.rmtree(folder, ignore_errors=True)


def recover_if_abandoned(final: Path) -> None:
    """Bring back an artifact whose commit a crash interrupted, and tidy up, unless a process is committing it now."""
    if _replaced(final).exists() or _discarded(final).exists():
        with suppress(ResumeError, OSError), locked(final):
            recover_replacement(final)


def load_artifact(path: Path, remedy: str = REBUILD) -> Artifact | None:
    """The finished artifact in a directory, the old or the new one while it is replaced; ``None`` if there is none.

    Args:
        remedy: what to do if its manifest is damaged; ends the message of the error.
    """
    for _ in range(LOOKS):
        recover_if_abandoned(path)
        try:
            return Artifact(path, read_manifest(path, remedy))
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                raise
    return None


def _matches(draft: Unfinished, name: str) -> bool:
    directory, identity = draft
    final = f"{identity.name}-{identity.key[:KEY_IN_NAME]}"
    by_name = len(name) >= len(identity.name) + 1 + SHORTEST_KEY and final.startswith(name)
    return name == directory.name or by_name or (len(name) >= SHORTEST_KEY and identity.key.startswith(name))


def _replaced(final: Path) -> Path:
    return final.with_name(f".{final.name}{REPLACED}")


def _discarded(final: Path) -> Path:
    return final.with_name(f".{final.name}{DISCARDED}")


def _move(paths: Iterable[Path], folder: Path) -> None:
    """Move files and folders into a new folder, in this order, if they exist."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    for path in paths:
        with suppress(FileNotFoundError):
            path.replace(folder / path.name)


def _sync(directory: Path) -> None:
    """Write all files to the disk before the rename makes them visible."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


ModelT = TypeVar("ModelT", bound=BaseModel)


def read_facts(artifact: Artifact, kind: type[ModelT]) -> ModelT:
    """Read the facts of an artifact as a type.

    Raises:
        SchemaError: if a fact is missing or has another type, as in an artifact of another kind.
    """
    try:
        return kind.model_validate(artifact.facts)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SchemaError(
            f"{artifact.path}: the manifest of this {artifact.manifest.identity.kind} does not fit: facts.{place}: "
            f"{first['msg'].lower()}; rebuild the artifact"
        ) from None


class ArtifactFacts(BaseModel):
    """Facts of an artifact as a type; a stage returns them as a mapping, and the manifest holds them as JSON.

    Another version of the program may write more facts or fewer: unknown facts are kept, missing ones have a default.
    """

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """Read the facts of an artifact; raises what :func:`read_facts` raises."""
        return read_facts(artifact, cls)
