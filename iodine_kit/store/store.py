"""Creates, finds and checks artifacts below one root directory, ``root/kind/name-key12``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from iodine_kit.errors import ArtifactNotFoundError, ResumeError, StorageError
from iodine_kit.store import manifest as manifests
from iodine_kit.store.identity import KEY_IN_NAME, Identity, Reference
from iodine_kit.store.manifest import MANIFEST, Manifest

IDENTITY = "identity.json"
SHORTEST_KEY = 4


@dataclass(frozen=True)
class Artifact:
    """A finished artifact."""

    path: Path
    manifest: Manifest

    @property
    def reference(self) -> Reference:
        return self.manifest.reference

    @property
    def facts(self) -> dict[str, Any]:
        return self.manifest.facts

    @property
    def config(self) -> dict[str, Any]:
        return self.manifest.identity.config


@dataclass(frozen=True)
class Draft:
    """An artifact in the making; it becomes visible when it is committed."""

    path: Path
    identity: Identity
    final: Path

    def commit(self, facts: Mapping[str, Any], made: Mapping[str, Any]) -> Artifact:
        """Hash the files, write the manifest, and rename the directory into place."""
        (self.path / IDENTITY).unlink(missing_ok=True)
        manifest = manifests.describe(self.path, self.identity, facts, made)
        manifests.write(self.path, manifest)
        _sync(self.path)
        replaced = self.path.with_suffix(".replaced")
        if self.final.exists():
            self.final.rename(replaced)
        self.path.rename(self.final)
        shutil.rmtree(replaced, ignore_errors=True)
        return Artifact(self.final, manifest)


class Store:
    """The artifacts below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, identity: Identity) -> Artifact | None:
        """The finished artifact of this identity, made from inputs of the same content; else ``None``."""
        artifact = self._load(self._final(identity.planned))
        if artifact is None or artifact.manifest.key != identity.key:
            return None
        made_from = artifact.manifest.identity.inputs
        same = all(made_from[role].content == given.content for role, given in identity.inputs.items())
        return artifact if same else None

    def resolve(self, reference: Reference) -> Artifact:
        """The artifact that another one names as its input; raises :class:`ArtifactNotFoundError`."""
        artifact = self._load(self._final(reference))
        if artifact is None:
            raise ArtifactNotFoundError(f"{self.root / reference.directory}: this input is not in the store")
        return artifact

    def open(self, place: str, kind: str | None = None) -> Artifact:
        """An artifact by path, ``kind/name-key``, directory name, or the beginning of its key.

        Raises:
            ArtifactNotFoundError: if nothing fits, several do, or it is not of the ``kind`` asked for.
        """
        paths = [path for path in (Path(place), self.root / place) if (path / MANIFEST).is_file()][:1]
        if not paths and len(place) >= SHORTEST_KEY:
            paths = [p for p in self._finished() if p.name == place or p.name.rpartition("-")[2].startswith(place)]
        if len(paths) != 1:
            fits = f"it fits {len(paths)} artifacts" if paths else "no such artifact"
            raise ArtifactNotFoundError(f"{place}: {fits} in {self.root}; 'iodine-kit list' shows all")
        artifact = Artifact(paths[0], manifests.read(paths[0]))
        if kind not in (None, artifact.reference.kind):
            raise ArtifactNotFoundError(f"{paths[0]} is a {artifact.reference.kind}, and a {kind} is needed here")
        return artifact

    def newest(self, kind: str, command: str) -> Artifact:
        """The artifact of a kind that was made or asked for last; ``command`` says how to make one."""
        artifacts = self.artifacts(kind)
        if not artifacts:
            raise ArtifactNotFoundError(f"{self.root} holds no {kind} yet: make one with '{command}'")
        return artifacts[-1]

    def artifacts(self, kind: str = "*") -> list[Artifact]:
        """All finished artifacts, of a kind if one is given, oldest first."""
        paths = sorted(self._finished(kind), key=lambda path: (path / MANIFEST).stat().st_mtime_ns)
        return [Artifact(path, manifests.read(path)) for path in paths]

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

    def touch(self, artifact: Artifact) -> None:
        """Mark as asked for just now, so that ``newest`` finds it."""
        os.utime(artifact.path / MANIFEST)

    def interrupted(self, kind: str = "*") -> list[tuple[Path, Identity]]:
        """Drafts, of a kind if one is given, that were begun and not finished, with what they were to become."""
        paths = sorted(self.root.glob(f"{kind}/.*.partial/{IDENTITY}"), key=lambda path: path.stat().st_mtime_ns)
        return [(path.parent, Identity.model_validate_json(path.read_bytes())) for path in paths]

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
                if fresh:
                    shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True, exist_ok=True)
                (partial / IDENTITY).write_text(identity.model_dump_json(), "utf-8")
                try:
                    yield Draft(partial, identity, final)
                finally:
                    if not keep or not any(partial.glob(keep)):
                        shutil.rmtree(partial, ignore_errors=True)
        except OSError as error:
            place = error.filename or partial
            raise StorageError(f"{place}: {error.strerror or error}; nothing was left half written") from error

    def verify(self, artifact: Artifact) -> list[str]:
        """Sentences on every file or input that differs from the manifest; empty if all is as it was made."""
        found = manifests.problems(artifact.path, artifact.manifest)
        for role, reference in artifact.manifest.identity.inputs.items():
            given = self._load(self._final(reference))
            if given is None:
                found.append(f"its {role} {reference.directory} is not in {self.root}")
            elif given.manifest.content != reference.content:
                found.append(f"its {role} {reference.directory} was made anew since, with other content")
        return found

    def _final(self, reference: Reference) -> Path:
        return self.root / reference.kind / f"{reference.name}-{reference.key[:KEY_IN_NAME]}"

    def _finished(self, kind: str = "*") -> list[Path]:
        return [path.parent for path in self.root.glob(f"{kind}/[!.]*/{MANIFEST}")]

    def _load(self, path: Path) -> Artifact | None:
        return Artifact(path, manifests.read(path)) if (path / MANIFEST).is_file() else None

    @contextmanager
    def _lock(self, final: Path) -> Iterator[None]:
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / f"{final.parent.name}-{final.name}.lock", timeout=0):
                yield
        except Timeout:
            raise ResumeError(f"{final}: another process is making this artifact; wait for it to end") from None


def _sync(directory: Path) -> None:
    """Bring all files to the disk before the rename makes them count."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
