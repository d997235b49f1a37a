"""The artifact store: create, find and check artifacts below one root directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, IodineKitError, SchemaError, StorageError
from iodine_kit.store.artifact import (
    IDENTITY,
    LOOKS,
    PARTIAL,
    REPLACED,
    SHORTEST_KEY,
    Artifact,
    Draft,
    Unfinished,
    draft_error,
    find_drafts,
    is_complete,
    load_artifact,
    matching_drafts,
    recover_if_abandoned,
    recover_replacement,
)
from iodine_kit.store.locks import gate, is_locked, locked
from iodine_kit.store.manifest import (
    KEY_IN_NAME,
    MANIFEST,
    REBUILD,
    Identity,
    Reference,
    input_contents,
    read_manifest,
    write_manifest,
)
from iodine_kit.system import to_path

HASHED_ON_USE = 16 << 20
"""Largest file, in bytes, that is hashed at every use of its artifact; of larger ones only the size is checked."""


class Store:
    """The artifacts below ``root``, each in ``root/kind/name-key12``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, artifact: Artifact) -> Store:
        """The store that contains an artifact."""
        return cls(artifact.path.absolute().parents[1])

    def find(self, identity: Identity, again: str = "") -> Artifact | None:
        """The finished artifact with this identity, if its inputs had the same content; else ``None``.

        If its manifest is damaged, the error names ``again``, the option that makes it again.
        """
        artifact = self.load(identity.planned, f"rebuild it with {again}" if again else REBUILD)
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
        artifact = self.load(reference)
        if artifact is None:
            place = self.root / reference.directory
            raise ArtifactNotFoundError(f"{place}: this input is not in the store: copy it there, or make it again")
        if artifact.manifest.content != reference.content:
            raise ArtifactCorruptError(
                f"{artifact.path} was rebuilt with different content; rebuild the artifacts that depend on it"
            )
        return self.usable(artifact)

    def usable(self, artifact: Artifact, again: str = "") -> Artifact:
        """Return the artifact if its files have the right sizes and hashes; large files are not hashed.

        If they do not, the error names ``again``, the option of the present command that makes it again; without one,
        the command that made it.

        Raises:
            ArtifactCorruptError: if a file is missing, altered or not listed in the manifest.
        """
        problems = artifact.problems(hash_up_to=HASHED_ON_USE)
        if problems and (now := load_artifact(artifact.path)) and now.manifest.content == artifact.manifest.content:
            problems = now.problems(hash_up_to=HASHED_ON_USE)  # another process may have replaced it meanwhile
        if problems:
            from iodine_kit.store.remedies import damage_error

            raise damage_error(artifact, problems, again=again)
        with suppress(OSError):  # its directory has the time of the last use as an input; a store may be read-only
            os.utime(artifact.path)
        return artifact

    def open(self, place: str, kind: str | None = None) -> Artifact:
        """Open an artifact by path, ``kind/name-key``, directory name, first digits of its key, or ``tag:NAME``.

        Raises:
            ArtifactNotFoundError: if no artifact matches, several do, or it is not of the given ``kind``.
            ArtifactCorruptError: if it was rebuilt with different content since it got the tag.
        """
        artifact = self._tagged(place) or self._named(place)
        if kind not in (None, artifact.reference.kind):
            raise ArtifactNotFoundError(
                f"{artifact.path} has kind '{artifact.reference.kind}', but '{kind}' is required"
            )
        return artifact

    def _tagged(self, place: str) -> Artifact | None:
        if not place.startswith("tag:"):
            return None
        from iodine_kit.store.tags import tagged

        return tagged(self, place.removeprefix("tag:"))

    def _named(self, place: str) -> Artifact:
        paths = [path for path in (to_path(place), self.root / place) if (path / MANIFEST).is_file()][:1]
        if not paths and len(place) >= SHORTEST_KEY:
            paths = [p for p in self._finished() if self._is_called(p, place) or self._has_key(p, place)]
        if len(paths) != 1:
            several = f"matches {len(paths)} artifacts in {self.root}; 'iodine-kit list' shows all"
            reason = several if paths else self._why_missing(place)
            raise ArtifactNotFoundError(f"{place or repr(place)}: {reason}")
        artifact = load_artifact(paths[0])
        if artifact is None:
            raise ArtifactNotFoundError(f"{place}: {self._why_missing(place)}")
        # realpath, because Path.resolve raises a RuntimeError for a link that leads back to itself
        if not Path(os.path.realpath(artifact.path)).is_relative_to(os.path.realpath(self.root)):
            raise ArtifactNotFoundError(f"{place} is outside the store {self.root}: select its store with --store")
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
        """All finished artifacts of a kind, the most recently used one last; omits those whose manifest is unreadable.

        Raises:
            StorageError: if the operating system refuses to read a manifest, but for those that others may read only.
        """
        return self.survey(kind)[0]

    def damaged(self) -> list[Path]:
        """Artifacts whose manifest cannot be read."""
        return list(self.survey()[1])

    def survey(
        self, kind: str = "*", load: Callable[[Path], Artifact | None] = load_artifact
    ) -> tuple[list[Artifact], dict[Path, IodineKitError]]:
        """All finished artifacts of a kind, as :meth:`artifacts`, and why the manifests of others cannot be read."""
        artifacts: list[Artifact] = []
        unreadable: dict[Path, IodineKitError] = {}
        for path in self._finished(kind):
            try:
                artifacts += filter(None, [load(path)])  # unless it was removed meanwhile
            except (ArtifactCorruptError, SchemaError) as error:
                unreadable[path] = error
            except StorageError as error:
                if not isinstance(error.__cause__, PermissionError):
                    raise
                unreadable[path] = error
        return artifacts, dict(sorted(unreadable.items()))

    def touch(self, artifact: Artifact, purpose: str = "") -> Artifact:
        """Make an artifact the most recent one of its kind; without a ``purpose``, its own purpose is removed."""
        with suppress(OSError, IodineKitError):  # a store that cannot be written can still be read
            if artifact.purpose and not purpose:
                with locked(artifact.path):
                    now = read_manifest(artifact.path)  # it may have been replaced since
                    now = now.model_copy(update={"made": {**now.made, "purpose": ""}})
                    write_manifest(artifact.path, now)
                artifact = Artifact(artifact.path, now) if now.content == artifact.manifest.content else artifact
            os.utime(artifact.path / MANIFEST)
        return artifact

    def interrupted(self, kind: str = "*") -> list[Unfinished]:
        """Drafts of a kind that no process is working on, the most recently started one last."""
        return [one for one in find_drafts(self.root, kind) if not is_locked(self.place(one.identity.planned))]

    @contextmanager
    def draft(
        self, identity: Identity, *, keep: str = "", fresh: bool = True, begin: Callable[[Path], None] | None = None
    ) -> Iterator[Draft]:
        """Make an artifact: fill ``draft.path`` and call ``draft.commit``. After an error, the draft is deleted.

        Args:
            keep: after an error, keep the draft if a file matches this pattern, so that the work can resume.
            fresh: start with an empty directory; with ``False``, start with the files of a kept draft.
            begin: called with the directory of a kept draft, under the lock; if it raises, nothing has changed.

        Raises:
            ResumeError: if another process is making the same artifact.
            ArtifactNotFoundError: if an input was removed since the work was planned.
            StorageError: if the operating system refuses to write.
        """
        final = self.place(identity.planned)
        partial = final.with_name(f".{final.name}{PARTIAL}")
        try:
            with ExitStack() as held:
                with gate(self.root):
                    held.enter_context(locked(final))
                    recover_replacement(final)
                    if begin is not None:
                        begin(partial)
                    if fresh:
                        shutil.rmtree(partial, ignore_errors=True)
                    partial.mkdir(parents=True, exist_ok=True)
                    (partial / IDENTITY).write_text(identity.model_dump_json(), "utf-8")
                try:
                    self._require_inputs(identity)
                    yield Draft(partial, identity, final, keep)
                finally:
                    if not is_complete(partial) and not (keep and any(partial.glob(keep))):
                        shutil.rmtree(partial, ignore_errors=True)
        except OSError as error:
            raise draft_error(error, partial) from error

    def verify(self, artifact: Artifact) -> list[str]:
        """Hash an artifact and everything that it was made from; see :func:`iodine_kit.store.lineage.verify`."""
        from iodine_kit.store import lineage

        return lineage.verify(self, artifact)

    def load(self, reference: Reference, remedy: str = REBUILD) -> Artifact | None:
        """The artifact in the directory that a reference names, whatever its content; ``None`` if there is none."""
        return load_artifact(self.place(reference), remedy)

    def place(self, reference: Reference) -> Path:
        """The directory of an artifact, whether it exists or not."""
        return self.root / reference.kind / f"{reference.name}-{reference.key[:KEY_IN_NAME]}"

    def _require_inputs(self, identity: Identity) -> None:
        """Check, after the draft named its inputs, that nobody has removed one."""
        for role, one in identity.inputs.items():
            if one.content and not (self.place(one) / MANIFEST).is_file():
                raise ArtifactNotFoundError(f"{self.place(one)}: this {role} was removed meanwhile: make it again")

    def _why_missing(self, place: str) -> str:
        """Why no finished artifact is called ``place``: it may have been interrupted, or may still be made."""
        drafts = matching_drafts(self.root, place)
        if not drafts and (self.root / ".tags" / f"{place}.json").is_file():
            return f"no such artifact in {self.root}; did you mean the tag, tag:{place}?"
        if not drafts and place.count("/") == 1 and (self.root / place).is_dir():
            return f"this folder has no {MANIFEST}, so it is no artifact: remove it with 'iodine-kit gc {place}'"
        if not drafts:
            short = "" if len(place) >= SHORTEST_KEY else f"give at least {SHORTEST_KEY} digits of a key; "
            return f"no such artifact in {self.root}; {short}'iodine-kit list' shows all"
        directory, identity = drafts[-1]
        if is_locked(self.place(identity.planned)):
            return f"this {identity.kind} is not finished: another process is making it"
        return f"this {identity.kind} was interrupted: repeat the same command to resume, or delete {directory}"

    def _finished(self, kind: str = "*") -> list[Path]:
        """Directories with a manifest, the most recently used one last."""
        replaced = {path.with_name(path.name[1 : -len(REPLACED)]) for path in self.root.glob(f"{kind}/.*{REPLACED}")}
        used = []
        for path in {*self.root.glob(f"{kind}/[!.]*"), *replaced}:
            for _ in range(LOOKS):
                recover_if_abandoned(path)
                with suppress(FileNotFoundError, NotADirectoryError):
                    used.append(((path / MANIFEST).stat().st_mtime_ns, path))
                    break
        return [path for _, path in sorted(used)]

    def _is_called(self, path: Path, place: str) -> bool:
        """Whether ``place`` is a directory name with enough digits of its key, with or without the kind before it."""
        kind, _, name = place.rpartition("/")
        shortest = path.name.rfind("-") + 1 + SHORTEST_KEY
        return kind in ("", path.parent.name) and len(name) >= shortest and path.name.startswith(name)

    def _has_key(self, path: Path, beginning: str) -> bool:
        """Whether the key starts with these digits; the directory name contains only its first digits."""
        digits = path.name.rpartition("-")[2]
        return digits.startswith(beginning[:KEY_IN_NAME]) and read_manifest(path).key.startswith(beginning)
