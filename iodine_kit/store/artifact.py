"""One artifact on disk: finished, ``root/kind/name-key12``, or a draft, ``root/kind/.name-key12.partial``."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

import iodine_kit
from iodine_kit.addresses import redacted
from iodine_kit.errors import ArtifactNotFoundError, ResumeError, SchemaError, StorageError
from iodine_kit.store.locks import locked
from iodine_kit.store.manifest import (
    KEY_IN_NAME,
    WRITING,
    Identity,
    Manifest,
    Reference,
    build_manifest,
    read_manifest,
    write_manifest,
)
from iodine_kit.system import readable

PACKAGES = ("torch", "numpy", "h5py", "webdataset", "scikit-learn", "pandas")


def provenance(started: datetime, purpose: str = "") -> dict[str, Any]:
    """Facts of this process in JSON types: times, command, versions, commit of the code, machine, and ``purpose``.

    The command is recorded without the secrets of addresses: manifests are pushed to others.
    """
    finished = datetime.now(UTC)
    return {
        **({"purpose": purpose} if purpose else {}),
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "seconds": round((finished - started).total_seconds(), 3),
        "command": readable([Path(sys.argv[0]).name, *map(redacted, sys.argv[1:])]),
        "iodine_kit": iodine_kit.__version__,
        "git": _git(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(terse=True),
        "cpus": os.cpu_count(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that the code runs from, and whether files were changed; ``None`` outside a checkout."""
    try:
        commit = _run_git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_run_git(folder, "status", "--porcelain", "--", str(folder.parent)))}
    except (OSError, subprocess.SubprocessError):
        return None


def _run_git(folder: Path, *arguments: str) -> str:
    # An installed package can be inside an unrelated checkout, in which this file is not tracked.
    for command in (["ls-files", "--error-unmatch", __file__], list(arguments)):
        done = subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, timeout=10)
    return done.stdout.decode("utf-8", "replace").strip()


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

        The files that allow a draft to resume are moved away, and deleted last; they are not part of the artifact.
        """
        scratch = [*self.path.glob("*.tmp"), *self.path.glob(f"{WRITING}*"), self.path / CODE, self.path / IDENTITY]
        scratch = [*(self.path.glob(self.keep) if self.keep else ()), *scratch]
        manifest = build_manifest(self.path, self.identity, facts, made, omit={path.name for path in scratch})
        write_manifest(self.path, manifest)
        _sync(self.path)
        replaced, discarded = _replaced(self.final), self.final.with_name(f".{self.final.name}{DISCARDED}")
        _move(scratch, discarded)
        if self.final.exists():
            self.final.rename(replaced)
        self.path.rename(self.final)  # at once: between the two, readers see no artifact and have to wait
        for folder in (replaced, discarded):
            shutil.rmtree(folder, ignore_errors=True)
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


def recover_replacement(final: Path) -> None:
    """Undo or finish a replacement that a crash interrupted: the old artifact counts until the new one is in place."""
    replaced = _replaced(final)
    if replaced.exists() and not final.exists():
        replaced.rename(final)
    shutil.rmtree(replaced, ignore_errors=True)


def recover_if_abandoned(final: Path) -> None:
    """Bring back an artifact whose replacement a crash interrupted, unless a process is replacing it now."""
    if _replaced(final).exists():
        with suppress(ResumeError, OSError), locked(final):
            recover_replacement(final)


def load_artifact(path: Path) -> Artifact | None:
    """The finished artifact in a directory, the old or the new one while it is replaced; ``None`` if there is none."""
    for _ in range(LOOKS):
        recover_if_abandoned(path)
        try:
            return Artifact(path, read_manifest(path))
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
