"""Creates, finds and checks artifacts below one root directory, ``root/kind/name-key12``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, ResumeError, StorageError
from iodine_kit.store import manifest as manifests
from iodine_kit.store.drafts import IDENTITY, SHORTEST_KEY, Begun, drafts
from iodine_kit.store.identity import KEY_IN_NAME, Identity, Reference, contents
from iodine_kit.store.manifest import MANIFEST, Manifest

HASHED_ON_USE = 16 << 20
"""Files up to this size are hashed whenever their artifact is used; of larger ones only the size is checked."""


@dataclass(frozen=True)
class Artifact:
    """A finished artifact."""

    path: Path
    manifest: Manifest = field(repr=False)

    @property
    def reference(self) -> Reference:
        return self.manifest.reference

    @property
    def facts(self) -> dict[str, Any]:
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
        return self.manifest.identity.config


@dataclass(frozen=True)
class Draft:
    """An artifact in the making; it becomes visible when it is committed."""

    path: Path
    identity: Identity
    final: Path
    keep: str = ""

    def commit(self, facts: Mapping[str, Any], made: Mapping[str, Any]) -> Artifact:
        """Hash the files, write the manifest, and rename the directory into place.

        What served to resume stays until nothing can go wrong any more, and is no part of the artifact.
        """
        scratch = {self.path / IDENTITY, *self.path.glob("*.tmp"), *(self.path.glob(self.keep) if self.keep else ())}
        manifest = manifests.describe(self.path, self.identity, facts, made, {path.name for path in scratch})
        manifests.write(self.path, manifest)
        _sync(self.path)
        replaced = _replaced(self.final)
        if self.final.exists():
            self.final.rename(replaced)
        for path in scratch:
            path.unlink(missing_ok=True)
        self.path.rename(self.final)
        shutil.rmtree(replaced, ignore_errors=True)
        return Artifact(self.final, manifest)


class Store:
    """The artifacts below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, artifact: Artifact) -> Store:
        """The store that an artifact lies in, as ``root/kind/name-key12``."""
        return cls(artifact.path.absolute().parents[1])

    def find(self, identity: Identity) -> Artifact | None:
        """The finished artifact of this identity, made from inputs of the same content; else ``None``."""
        artifact = self._load(self._final(identity.planned))
        if artifact is None or artifact.manifest.key != identity.key:
            return None
        made_from = artifact.manifest.identity.inputs
        return artifact if contents(made_from) == contents(identity.inputs) else None

    def resolve(self, reference: Reference) -> Artifact:
        """The artifact that another one names as its input, with the content it had then.

        Raises:
            ArtifactNotFoundError: if it is not in this store.
            ArtifactCorruptError: if it was made anew since with other content, or altered.
        """
        artifact = self._load(self._final(reference))
        if artifact is None:
            raise ArtifactNotFoundError(f"{self.root / reference.directory}: this input is not in the store")
        if artifact.manifest.content != reference.content:
            raise ArtifactCorruptError(
                f"{artifact.path} was made anew since, with other content: make what is based on it again"
            )
        return self.usable(artifact)

    def usable(self, artifact: Artifact) -> Artifact:
        """Return the artifact if its files are there, of the right sizes and, where small, of the right bytes."""
        found = manifests.problems(artifact.path, artifact.manifest, hash_up_to=HASHED_ON_USE)
        if found:
            raise ArtifactCorruptError(f"{artifact.path}: {'; '.join(found)}; make it again with --overwrite")
        return artifact

    def open(self, place: str, kind: str | None = None) -> Artifact:
        """An artifact by path, ``kind/name-key``, directory name, or the beginning of its key.

        Raises:
            ArtifactNotFoundError: if nothing fits, several do, or it is not of the ``kind`` asked for.
        """
        paths = [path for path in (Path(place), self.root / place) if (path / MANIFEST).is_file()][:1]
        if not paths and len(place) >= SHORTEST_KEY:
            paths = [p for p in self._finished() if self._is_called(p, place) or self._has_key(p, place)]
        if len(paths) != 1:
            fits = f"it fits {len(paths)} artifacts" if paths else "no such artifact"
            raise ArtifactNotFoundError(f"{place}: {fits} in {self.root}; 'iodine-kit list' shows all")
        artifact = Artifact(paths[0], manifests.read(paths[0]))
        if not artifact.path.resolve().is_relative_to(self.root.resolve()):
            raise ArtifactNotFoundError(f"{place} lies outside the store {self.root}: name its store with --store")
        if kind not in (None, artifact.reference.kind):
            raise ArtifactNotFoundError(f"{paths[0]} is a {artifact.reference.kind}, and a {kind} is needed here")
        return artifact

    def newest(self, kind: str, command: str, fits: Callable[[Artifact], bool] = lambda artifact: True) -> Artifact:
        """The artifact of a kind made or asked for last, one that ``fits`` if there is; ``command`` makes one."""
        artifacts = self.artifacts(kind)
        if not artifacts:
            damaged = sum(path.parent.name == kind for path in self.damaged())
            note = f" ({damaged} cannot be read: see 'iodine-kit list')" if damaged else ""
            raise ArtifactNotFoundError(f"{self.root} holds no {kind} yet{note}: make one with '{command}'")
        return self.usable(next(filter(fits, reversed(artifacts)), artifacts[-1]))

    def artifacts(self, kind: str = "*") -> list[Artifact]:
        """All finished artifacts, of a kind if one is given, the one used last at the end; without damaged ones."""
        found = []
        for path in sorted(self._finished(kind), key=lambda path: (path / MANIFEST).stat().st_mtime_ns):
            with suppress(ArtifactCorruptError):
                found.append(Artifact(path, manifests.read(path)))
        return found

    def damaged(self) -> list[Path]:
        """Artifacts whose manifest cannot be read."""
        readable = {artifact.path for artifact in self.artifacts()}
        return sorted(set(self._finished()) - readable)

    def lineage(self, artifact: Artifact, depth: int = 0) -> Iterator[tuple[int, str]]:
        """Lines, each with its depth, on the artifact, the files from outside it was made from, and its inputs."""
        yield depth, artifact.reference.directory
        for source in artifact.manifest.identity.sources:
            yield depth + 1, f"{source.name}  {source.bytes} bytes  sha256 {source.sha256}"
        for role, reference in artifact.manifest.identity.inputs.items():
            given = self._load(self._final(reference))
            if given is None:
                yield depth + 1, f"{reference.directory} ({role}, not in this store)"
            else:
                yield from self.lineage(given, depth + 1)

    def touch(self, artifact: Artifact, purpose: str = "") -> Artifact:
        """Make an artifact the newest of its kind; without a ``purpose``, it also loses its own."""
        with suppress(OSError):  # a store that cannot be written can still be read
            if artifact.purpose and not purpose:
                made = {**artifact.manifest.made, "purpose": ""}
                artifact = Artifact(artifact.path, artifact.manifest.model_copy(update={"made": made}))
                manifests.write(artifact.path, artifact.manifest)
            os.utime(artifact.path / MANIFEST)
        return artifact

    def interrupted(self, kind: str = "*") -> list[Begun]:
        """Drafts, of a kind if one is given, that were begun and not finished, and that nobody is working on."""
        return [draft for draft in drafts(self.root, kind) if not self._is_locked(self._final(draft[1].planned))]

    @contextmanager
    def draft(self, identity: Identity, *, keep: str = "", fresh: bool = True) -> Iterator[Draft]:
        """Make an artifact: fill ``draft.path`` and call ``draft.commit``. What fails leaves nothing behind.

        Args:
            keep: if it fails and a file of this pattern is there, leave everything for the next time.
            fresh: begin with an empty directory rather than with what the last time left.

        Raises:
            ResumeError: if another process is making the same artifact.
            StorageError: if the operating system refuses to write.
        """
        final = self._final(identity.planned)
        partial = final.with_name(f".{final.name}.partial")
        try:
            with self._lock(final):
                _recover(final)
                if fresh:
                    shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True, exist_ok=True)
                (partial / IDENTITY).write_text(identity.model_dump_json(), "utf-8")
                try:
                    yield Draft(partial, identity, final, keep)
                finally:
                    if not keep or not any(partial.glob(keep)):
                        shutil.rmtree(partial, ignore_errors=True)
        except OSError as error:
            place = error.filename or partial
            raise StorageError(f"{place}: {error.strerror or error}; no artifact was left half written") from error

    def verify(self, artifact: Artifact) -> list[str]:
        """Hash the artifact and all it was made from; sentences on what differs, none if all is as it was made."""
        found = manifests.problems(artifact.path, artifact.manifest)
        for role, reference in artifact.manifest.identity.inputs.items():
            given = self._load(self._final(reference))
            if given is None:
                found.append(f"its {role} {reference.directory} is not in {self.root}")
            elif given.manifest.content != reference.content:
                found.append(f"its {role} {reference.directory} was made anew since, with other content")
            else:
                found += [f"its {role} {reference.directory}: {problem}" for problem in self.verify(given)]
        return list(dict.fromkeys(found))

    def _final(self, reference: Reference) -> Path:
        return self.root / reference.kind / f"{reference.name}-{reference.key[:KEY_IN_NAME]}"

    def _finished(self, kind: str = "*") -> list[Path]:
        return [path.parent for path in self.root.glob(f"{kind}/[!.]*/{MANIFEST}")]

    def _load(self, path: Path) -> Artifact | None:
        return Artifact(path, manifests.read(path)) if (path / MANIFEST).is_file() else None

    def _is_called(self, path: Path, place: str) -> bool:
        """Whether ``place`` is the name of a directory, with its kind or without, and enough digits of its key."""
        kind, _, name = place.rpartition("/")
        shortest = path.name.rindex("-") + 1 + SHORTEST_KEY
        return kind in ("", path.parent.name) and len(name) >= shortest and path.name.startswith(name)

    def _has_key(self, path: Path, beginning: str) -> bool:
        """Whether the artifact's key begins so; its directory's name holds only the first digits."""
        digits = path.name.rpartition("-")[2]
        return digits.startswith(beginning[:KEY_IN_NAME]) and manifests.read(path).key.startswith(beginning)

    def _is_locked(self, final: Path) -> bool:
        try:
            with self._lock(final):
                return False
        except (ResumeError, OSError):
            return True

    @contextmanager
    def _lock(self, final: Path) -> Iterator[None]:
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / f"{final.parent.name}-{final.name}.lock", timeout=0):
                yield
        except Timeout:
            raise ResumeError(f"{final}: another process is making this artifact; wait for it to end") from None


def _replaced(final: Path) -> Path:
    return final.with_name(f".{final.name}.replaced")


def _recover(final: Path) -> None:
    """Undo or finish a replacement that a crash cut short: the old artifact counts until the new one is in place."""
    replaced = _replaced(final)
    if replaced.exists() and not final.exists():
        replaced.rename(final)
    shutil.rmtree(replaced, ignore_errors=True)


def _sync(directory: Path) -> None:
    """Bring all files to the disk before the rename makes them count."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
