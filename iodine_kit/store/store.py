"""The artifact store: create, find and check artifacts below one root directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, ResumeError, StorageError
from iodine_kit.store.artifact import (
    IDENTITY,
    REPLACED,
    SHORTEST_KEY,
    Artifact,
    Draft,
    Unfinished,
    find_drafts,
    is_being_replaced,
    matching_drafts,
    recover_replacement,
)
from iodine_kit.store.manifest import (
    KEY_IN_NAME,
    MANIFEST,
    Identity,
    Reference,
    find_problems,
    input_contents,
    read_manifest,
    write_manifest,
)
from iodine_kit.system import storage_error, to_path

HASHED_ON_USE = 16 << 20
"""Largest file, in bytes, that is hashed whenever its artifact is used; of larger files only the size is checked."""


class Store:
    """The artifacts below ``root``, each in ``root/kind/name-key12``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, artifact: Artifact) -> Store:
        """The store that contains an artifact."""
        return cls(artifact.path.absolute().parents[1])

    def find(self, identity: Identity) -> Artifact | None:
        """The finished artifact with this identity, if its inputs had the same content; else ``None``."""
        artifact = self._load(self._final(identity.planned))
        if artifact is None or artifact.manifest.key != identity.key:
            return None
        inputs = artifact.manifest.identity.inputs
        return artifact if input_contents(inputs) == input_contents(identity.inputs) else None

    def resolve(self, reference: Reference) -> Artifact:
        """The artifact that another one names as its input.

        Raises:
            ArtifactNotFoundError: if it is not in this store.
            ArtifactCorruptError: if it was rebuilt with different content, or its files were altered.
        """
        artifact = self._load(self._final(reference))
        if artifact is None:
            raise ArtifactNotFoundError(f"{self.root / reference.directory}: this input is not in the store")
        if artifact.manifest.content != reference.content:
            raise ArtifactCorruptError(
                f"{artifact.path} was rebuilt with different content; rebuild the artifacts that depend on it"
            )
        return self.usable(artifact)

    def usable(self, artifact: Artifact) -> Artifact:
        """Return the artifact if its files have the right sizes and hashes; large files are not hashed.

        Raises:
            ArtifactCorruptError: if a file is missing, altered or not listed in the manifest.
        """
        problems = find_problems(artifact.path, artifact.manifest, hash_up_to=HASHED_ON_USE)
        if problems:
            raise ArtifactCorruptError(f"{artifact.path}: {'; '.join(problems)}; rebuild it with --overwrite")
        return artifact

    def open(self, place: str, kind: str | None = None) -> Artifact:
        """Open an artifact by path, ``kind/name-key``, directory name, or the first digits of its key.

        Raises:
            ArtifactNotFoundError: if no artifact matches, several do, or it is not of the given ``kind``.
        """
        paths = [path for path in (to_path(place), self.root / place) if (path / MANIFEST).is_file()][:1]
        if not paths and len(place) >= SHORTEST_KEY:
            paths = [p for p in self._finished() if self._is_called(p, place) or self._has_key(p, place)]
        if len(paths) != 1:
            several = f"matches {len(paths)} artifacts in {self.root}; 'iodine-kit list' shows all"
            reason = several if paths else self._why_missing(place)
            raise ArtifactNotFoundError(f"{place}: {reason}")
        artifact = Artifact(paths[0], read_manifest(paths[0]))
        # realpath, because Path.resolve raises a RuntimeError for a link that leads back to itself
        if not Path(os.path.realpath(artifact.path)).is_relative_to(os.path.realpath(self.root)):
            raise ArtifactNotFoundError(f"{place} is outside the store {self.root}: select its store with --store")
        if kind not in (None, artifact.reference.kind):
            raise ArtifactNotFoundError(f"{paths[0]} has kind '{artifact.reference.kind}', but '{kind}' is required")
        return artifact

    def newest(self, kind: str, command: str, fits: Callable[[Artifact], bool] = lambda artifact: True) -> Artifact:
        """The most recently made or used artifact of a kind.

        Args:
            command: named in the error message if there is none.
            fits: preferred artifacts; if none of them fits, the most recent one is returned.

        Raises:
            ArtifactNotFoundError: if there is no artifact of this kind.
        """
        artifacts = self.artifacts(kind)
        if not artifacts:
            damaged = sum(path.parent.name == kind for path in self.damaged())
            note = f" ({damaged} cannot be read: see 'iodine-kit list')" if damaged else ""
            raise ArtifactNotFoundError(f"{self.root} holds no {kind} yet{note}: make one with '{command}'")
        return self.usable(next(filter(fits, reversed(artifacts)), artifacts[-1]))

    def artifacts(self, kind: str = "*") -> list[Artifact]:
        """All finished artifacts of a kind, the most recently used one last; omits those with a damaged manifest.

        Raises:
            StorageError: if the operating system refuses to read a manifest, but for those that others may read only.
        """
        artifacts = []
        for path in sorted(self._finished(kind), key=lambda path: (path / MANIFEST).stat().st_mtime_ns):
            try:
                artifacts.append(Artifact(path, read_manifest(path)))
            except ArtifactCorruptError:
                continue
            except StorageError as error:
                if not isinstance(error.__cause__, PermissionError):
                    raise
        return artifacts

    def damaged(self) -> list[Path]:
        """Artifacts whose manifest cannot be read."""
        readable = {artifact.path for artifact in self.artifacts()}
        return sorted(set(self._finished()) - readable)

    def lineage(self, artifact: Artifact, depth: int = 0) -> Iterator[tuple[int, str]]:
        """List the artifact, its source files and its inputs, recursively, as lines of text with their depth."""
        yield depth, artifact.reference.directory
        for source in artifact.manifest.identity.sources:
            yield depth + 1, f"{source.name}  {source.bytes} bytes  sha256 {source.sha256}"
        for role, reference in artifact.manifest.identity.inputs.items():
            made_from = self._load(self._final(reference))
            if made_from is None:
                yield depth + 1, f"{reference.directory} ({role}, not in this store)"
            else:
                yield from self.lineage(made_from, depth + 1)

    def touch(self, artifact: Artifact, purpose: str = "") -> Artifact:
        """Make an artifact the most recent one of its kind; without a ``purpose``, its own purpose is removed."""
        with suppress(OSError):  # a store that cannot be written can still be read
            if artifact.purpose and not purpose:
                made = {**artifact.manifest.made, "purpose": ""}
                artifact = Artifact(artifact.path, artifact.manifest.model_copy(update={"made": made}))
                write_manifest(artifact.path, artifact.manifest)
            os.utime(artifact.path / MANIFEST)
        return artifact

    def interrupted(self, kind: str = "*") -> list[Unfinished]:
        """Drafts of a kind that no process is working on, the most recently started one last."""
        drafts = find_drafts(self.root, kind)
        return [draft for draft in drafts if not self._is_locked(self._final(draft.identity.planned))]

    @contextmanager
    def draft(self, identity: Identity, *, keep: str = "", fresh: bool = True) -> Iterator[Draft]:
        """Make an artifact: fill ``draft.path`` and call ``draft.commit``. After an error, the draft is deleted.

        Args:
            keep: after an error, keep the draft if a file matches this pattern, so that the work can resume.
            fresh: start with an empty directory; with ``False``, start with the files of a kept draft.

        Raises:
            ResumeError: if another process is making the same artifact.
            StorageError: if the operating system refuses to write.
        """
        final = self._final(identity.planned)
        partial = final.with_name(f".{final.name}.partial")
        try:
            with self._lock(final):
                recover_replacement(final)
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
            refused = storage_error(error, error.filename or partial, "read or written")
            raise type(refused)(f"{refused}; no incomplete artifact was left") from error

    def verify(self, artifact: Artifact) -> list[str]:
        """Hash the files of an artifact and its inputs; returns one sentence per difference from the manifests."""
        problems = find_problems(artifact.path, artifact.manifest)
        for role, reference in artifact.manifest.identity.inputs.items():
            made_from = self._load(self._final(reference))
            if made_from is None:
                problems.append(f"its {role} {reference.directory} is not in {self.root}")
            elif made_from.manifest.content != reference.content:
                problems.append(f"its {role} {reference.directory} was rebuilt with different content")
            else:
                problems += [f"its {role} {reference.directory}: {problem}" for problem in self.verify(made_from)]
        return list(dict.fromkeys(problems))

    def _why_missing(self, place: str) -> str:
        """Why no finished artifact is called ``place``: it may have been interrupted, or may still be made."""
        drafts = matching_drafts(self.root, place)
        if not drafts:
            return f"no such artifact in {self.root}; 'iodine-kit list' shows all"
        directory, identity = drafts[-1]
        if self._is_locked(self._final(identity.planned)):
            return f"this {identity.kind} is not finished: another process is making it"
        return f"this {identity.kind} was interrupted: repeat the same command to resume, or delete {directory}"

    def _final(self, reference: Reference) -> Path:
        return self.root / reference.kind / f"{reference.name}-{reference.key[:KEY_IN_NAME]}"

    def _finished(self, kind: str = "*") -> list[Path]:
        for replaced in self.root.glob(f"{kind}/.*{REPLACED}"):
            self._recover(replaced.with_name(replaced.name[1 : -len(REPLACED)]))
        return [path.parent for path in self.root.glob(f"{kind}/[!.]*/{MANIFEST}")]

    def _recover(self, final: Path) -> None:
        """Bring back an artifact whose replacement a crash interrupted, unless a process is replacing it now."""
        with suppress(ResumeError, OSError), self._lock(final):
            recover_replacement(final)

    def _load(self, path: Path) -> Artifact | None:
        if is_being_replaced(path):
            self._recover(path)
        return Artifact(path, read_manifest(path)) if (path / MANIFEST).is_file() else None

    def _is_called(self, path: Path, place: str) -> bool:
        """Whether ``place`` is a directory name with enough digits of its key, with or without the kind before it."""
        kind, _, name = place.rpartition("/")
        shortest = path.name.rindex("-") + 1 + SHORTEST_KEY
        return kind in ("", path.parent.name) and len(name) >= shortest and path.name.startswith(name)

    def _has_key(self, path: Path, beginning: str) -> bool:
        """Whether the key starts with these digits; the directory name contains only its first digits."""
        digits = path.name.rpartition("-")[2]
        return digits.startswith(beginning[:KEY_IN_NAME]) and read_manifest(path).key.startswith(beginning)

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
            raise ResumeError(f"{final}: another process is making this artifact; wait until it ends") from None
