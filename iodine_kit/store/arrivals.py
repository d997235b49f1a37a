"""Artifacts that arrive from elsewhere: checked byte by byte in a hidden folder, and visible only when all is right.

Nothing that arrives is trusted: not the name of a file, its size or its bytes, not the manifest. The hashes protect
against damage; they cannot say who made an artifact.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from iodine_kit.errors import CorruptDataError, IodineKitError, ResumeError
from iodine_kit.store.artifact import Artifact, recover_replacement
from iodine_kit.store.locks import LOCKS, gate, lock_name, locked
from iodine_kit.store.manifest import (
    MANIFEST,
    NOT_LISTED,
    FileRecord,
    Manifest,
    content_hash,
    facts_hash,
    file_sha256,
    parse_manifest,
)
from iodine_kit.store.remedies import damage_error, mark_arrived
from iodine_kit.store.store import Store
from iodine_kit.system import require_free_space, storage_errors, sync_to_disk
from iodine_kit.untrusted.folders import one_form, printable

ARRIVALS = ".arrivals"
"""Folder of the store in which artifacts arrive."""
UNPACKING = "unpack-"
"""Beginning of the name of a transfer that cannot resume."""
LARGEST_MANIFESTS = 32 << 20
"""Bytes of all manifests that arrive together; they are the only files that are read into memory."""
TOO_LARGE = f"more than {LARGEST_MANIFESTS >> 20} MiB of manifests; copy fewer artifacts at once"
COPY_AGAIN = "copy the artifact again from a store that has it"


def is_safe_path(name: str) -> bool:
    """Whether a name is a path below the folder that it is relative to, on every system, and not hidden."""
    parts = name.split("/")
    plain = all(part.strip() and not part.startswith(".") for part in parts)
    is_relative = not (PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor)
    return plain and is_relative and "\\" not in name and printable(name) == one_form(name)


def check_manifest(data: bytes, place: object, remedy: str = COPY_AGAIN) -> Manifest:
    """Read a manifest that arrives, and check that it is consistent and names only files of its own folder.

    Args:
        place: where it comes from; begins the message of an error.
        remedy: what to do if it was altered; ends the message.

    Raises:
        CorruptDataError: if it was altered, or is none.
        SchemaError: if a newer version of iodine-kit wrote it.
    """
    manifest = parse_manifest(data, place, CorruptDataError, remedy)
    if problem := _contradiction(manifest):
        raise CorruptDataError(f"{place}: {problem}; {remedy}")
    return manifest


def _contradiction(manifest: Manifest) -> str:
    """What in a manifest contradicts itself, or must not be there; "" if nothing does."""
    names, directory = manifest.files, manifest.reference.directory
    unsafe = [name for name in (directory, *names) if not is_safe_path(name)]
    folders = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    unsafe += [name for name in names if name == MANIFEST or name in folders]
    if unsafe or directory.count("/") != 1:
        return f"names a file that no artifact has: {printable((unsafe or [directory])[0])!r}"
    if any(record.bytes < 0 for record in names.values()):
        return "the size of a file is negative: the manifest was altered"
    if content_hash({name: record.sha256 for name, record in names.items()}) != manifest.content:
        return "the list of files does not match its hash: the manifest was altered"
    if facts_hash(manifest.facts) != manifest.facts_sha256:
        return "the facts do not match their hash: the manifest was altered"
    return ""


class Arrivals:
    """Artifacts on their way into a store; :func:`arriving` opens it.

    Call :meth:`announce` for each artifact, :meth:`receive` for each of its files that :meth:`missing` lists, and
    :meth:`commit` at the end. Until then the store does not change.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._command = folder.name.partition("-")[0]
        self._announced: dict[str, tuple[Manifest, bytes]] = {}
        self._complete: set[tuple[str, str, str]] = set()
        """Directory, name and sha256 of the files that have arrived."""
        self._held: set[str] = set()
        """Directories of the artifacts that the store had already."""
        self._needed = self._manifest_bytes = 0

    def announce(self, data: bytes, place: object) -> Manifest:
        """Check the manifest of an artifact that will arrive.

        Args:
            data: the bytes of ``manifest.json``.
            place: where they come from; begins the message of an error.

        Raises:
            CorruptDataError, SchemaError: as :func:`check_manifest`.
            ArtifactCorruptError: if files of this artifact are missing in the store, or have another size.
            ResumeError: if the store holds this artifact with different content, or it is announced with another.
            StorageError: if the disk has too little space.
        """
        manifest = check_manifest(data, place)
        self._manifest_bytes += len(data)
        if self._manifest_bytes > LARGEST_MANIFESTS:
            raise CorruptDataError(f"{place}: {TOO_LARGE}")
        directory = manifest.reference.directory
        before, _ = self._announced.setdefault(directory, (manifest, data))
        if before.reference != manifest.reference:
            raise ResumeError(
                f"{directory}: these artifacts need two contents of it, and a store holds one: "
                f"{before.content[:12]} and {manifest.content[:12]}; copy one of them into another store (--store DIR)"
            )
        self._needed += sum(manifest.files[name].bytes for name in self.missing(manifest))
        self._store.root.mkdir(parents=True, exist_ok=True)
        require_free_space(self._store.root, self._needed)
        return manifest

    def missing(self, manifest: Manifest) -> list[str]:
        """The files that still have to arrive, by name: none if the store holds the artifact with the same content."""
        directory = manifest.reference.directory
        if self.is_there(manifest):
            self._held.add(directory)
            return []
        files = {name: (directory, name, record.sha256) for name, record in manifest.files.items()}
        for name, file in files.items():
            if file not in self._complete and _is_complete(self._folder / directory / name, manifest.files[name]):
                self._complete.add(file)
        return sorted(name for name, file in files.items() if file not in self._complete)

    def receive(self, manifest: Manifest, name: str, chunks: Iterable[bytes], place: object) -> None:
        """Write a file and check its size and sha256 on the way; a wrong one is deleted.

        Args:
            manifest: of an announced artifact.
            name: of a file that the manifest lists.
            chunks: the bytes of the file, in order; more than the manifest lists are not written.
            place: where they come from; begins the message of an error.

        Raises:
            CorruptDataError: if the bytes are not those that the manifest lists.
        """
        record = manifest.files[name]
        final = self._folder / manifest.reference.directory / name
        temporary = final.with_name(f".{final.name}.tmp")
        with storage_errors(final, "written"):
            final.parent.mkdir(parents=True, exist_ok=True)
        try:
            with storage_errors(final, "written"), temporary.open("wb") as file:
                for chunk in checked(chunks, record, place):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)
        self._complete.add((manifest.reference.directory, name, record.sha256))

    def commit(self) -> list[Artifact]:
        """Make all announced artifacts part of the store, inputs first; returns them.

        Raises:
            CorruptDataError: if a file has not arrived.
            ResumeError: if another process makes one of them at this moment, made it with different content, or
                removed one that the store held.
        """
        manifests = [manifest for manifest, _ in self._announced.values()]
        with gate(self._store.root), ExitStack() as held:
            for manifest in manifests:
                held.enter_context(locked(self._store.place(manifest.reference)))
                recover_replacement(self._store.place(manifest.reference))
            for manifest in manifests:
                if absent := self.missing(manifest):
                    if manifest.reference.directory in self._held:
                        raise ResumeError(
                            f"{self._store.place(manifest.reference)}: this artifact was removed from the store "
                            "meanwhile: repeat the command"
                        )
                    raise CorruptDataError(
                        f"{manifest.reference.directory}: {absent[0]} has not arrived: repeat the command, or copy "
                        "the artifact again"
                    )
            for manifest in inputs_first(manifests):
                if not self.is_there(manifest):
                    self._publish(manifest)
        return [Artifact(self._store.place(one.reference), one) for one in manifests]

    def _publish(self, manifest: Manifest) -> None:
        directory = manifest.reference.directory
        folder, final = self._folder / directory, self._store.place(manifest.reference)
        with storage_errors(final, "written"):
            folder.mkdir(parents=True, exist_ok=True)  # an artifact can consist of its manifest
            final.parent.mkdir(parents=True, exist_ok=True)
            (folder / MANIFEST).write_bytes(self._announced[directory][1])
            sync_to_disk(folder / MANIFEST)
            mark_arrived(folder, self._command)
            folder.rename(final)

    def is_there(self, manifest: Manifest) -> bool:
        """Whether the store holds the artifact.

        Raises:
            ArtifactCorruptError: if it does, but files are missing or have another size.
            ResumeError: if it does with different content.
        """
        final = self._store.place(manifest.reference)
        if not os.path.lexists(final):
            return False
        try:
            there = self._store.load(manifest.reference)
        except IodineKitError:
            there = None
        if there is None or there.manifest.content != manifest.content or there.manifest.key != manifest.key:
            raise ResumeError(
                f"{final}: the store holds this artifact with different content; use another store (--store DIR), or "
                f"remove it first: iodine-kit gc {manifest.reference.directory}"
            )
        problems = [one for one in there.problems(hash_up_to=-1) if not one.endswith(NOT_LISTED)]
        if problems:
            raise damage_error(there, problems, copy=self._command)
        return True


@contextmanager
def arriving(store: Store, name: str, *, keep: bool = False) -> Iterator[Arrivals]:
    """Let artifacts arrive; what has not been committed at the end is deleted.

    Args:
        name: of this transfer, beginning with the command, as in ``pull-1``. Two processes cannot use the same at once.
        keep: keep the files that arrived if an error or interruption ends the transfer, so that one of the same name
            resumes.

    Raises:
        ResumeError: if another process uses the name.
    """
    folder = store.root / ARRIVALS / name
    done = False
    with ExitStack() as held:
        with storage_errors(store.root, "written"), gate(store.root):
            held.enter_context(locked(folder, "receiving these artifacts"))
            with suppress(OSError):
                os.utime(folder)  # whoever wants to remove what an interrupted transfer left sees that it resumes
        try:
            yield Arrivals(store, folder)
            done = True
        finally:
            if done or not keep:
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(ResumeError, OSError), gate(store.root):  # whoever begins takes the lock in the gate
                    (store.root / LOCKS / lock_name(folder)).unlink(missing_ok=True)


def checked(chunks: Iterable[bytes], record: FileRecord, place: object) -> Iterator[bytes]:
    """The bytes of a file, compared with the manifest: their number on the way, and their sha256 at the end.

    Args:
        chunks: the bytes, in order.
        place: where they come from; begins the message of an error.

    Raises:
        CorruptDataError: if they differ; never more bytes are yielded than the manifest lists.
    """
    digest, count = hashlib.sha256(), 0
    for chunk in chunks:
        count += len(chunk)
        if count > record.bytes:
            raise CorruptDataError(f"{place}: is longer than the {record.bytes} bytes in the manifest: it was altered")
        digest.update(chunk)
        yield chunk
    if count < record.bytes:
        raise CorruptDataError(f"{place}: has {count} of {record.bytes} bytes: it is incomplete; copy it again")
    if digest.hexdigest() != record.sha256:
        raise CorruptDataError(f"{place}: its sha256 differs from the one in the manifest: it was altered")


def _is_complete(path: Path, record: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.bytes and file_sha256(path) == record.sha256


def inputs_first(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    """Each manifest once, after those of its inputs."""
    waiting = {one.reference.directory: one for one in manifests}
    while waiting:
        needed = {name: {one.directory for one in m.identity.inputs.values()} for name, m in waiting.items()}
        free = [name for name in waiting if not (needed[name] - {name}) & waiting.keys()]
        for name in free or list(waiting):  # altered manifests may name each other
            yield waiting.pop(name)
