"""Artifacts as one tar archive: ``kind/name-key12/…``, inputs first, and in each artifact the manifest first.

The archive has the folders of a store, so that any program can unpack it; ``unpack`` checks every byte on the way in.
Manifests have the sha256 of all other files. The first file of the archive has those of the manifests.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from secrets import token_hex
from typing import BinaryIO, NamedTuple

from iodine_kit.errors import ArtifactCorruptError, CorruptDataError, StorageError
from iodine_kit.progress import Advance, Reporter
from iodine_kit.store.arrivals import LARGEST_MANIFESTS, TOO_LARGE, UNPACKING, Arrivals, arriving, checked, is_safe_path
from iodine_kit.store.artifact import Artifact
from iodine_kit.store.lineage import StoredFile, stored_files
from iodine_kit.store.manifest import MANIFEST, FileRecord, Manifest, file_sha256
from iodine_kit.store.remedies import ASK, refuse_damaged
from iodine_kit.store.store import Store
from iodine_kit.store.tar_stream import CHUNK, EXPECTED, LONGEST_NAME, Member, read_members, write_end, write_member
from iodine_kit.system import storage_errors
from iodine_kit.untrusted.folders import printable

MEGABYTE = 1_000_000
INDEX = "manifests.sha256"
"""The first file of an archive: one line for each manifest, as the program ``sha256sum`` writes and checks them."""
_LINE = re.compile(rf"([0-9a-f]{{64}})  ([^/\n]+/[^/\n]+)/{re.escape(MANIFEST)}")


def pack(artifacts: Sequence[Artifact], stream: BinaryIO, reporter: Reporter) -> int:
    """Write artifacts into an archive. The same artifacts give the same bytes.

    Args:
        artifacts: in the order of the archive, for example from :func:`iodine_kit.store.lineage.closure`.
        stream: open for writing; it need not be seekable.

    Returns:
        the number of bytes of all files.

    Raises:
        ArtifactCorruptError: if a file differs from the manifest, or the manifest was altered.
        StorageError: if a manifest is too large to be unpacked, or a file cannot be read.
    """
    refuse_damaged(*artifacts)
    written, total = 0, sum(record.bytes for one in artifacts for record in one.manifest.files.values())
    if sum((one.path / MANIFEST).stat().st_size for one in artifacts) > LARGEST_MANIFESTS:
        raise StorageError(f"{artifacts[0].path}: {TOO_LARGE}")
    index = "".join(f"{file_sha256(one.path / MANIFEST)}  {one.reference.directory}/{MANIFEST}\n" for one in artifacts)
    write_member(stream, INDEX, len(index.encode()), [index.encode()])
    with tracked(reporter, "pack", total) as advance:
        for artifact in artifacts:
            for file in stored_files(artifact):
                name = f"{artifact.reference.directory}/{file.name}"
                if len(name.encode()) > LONGEST_NAME:
                    raise StorageError(f"{file.path}: this name is too long for an archive; copy the folder")
                write_member(stream, name, file.bytes, _checked(file, advance))
                written += file.bytes
    write_end(stream)
    return written


def _checked(file: StoredFile, advance: Advance) -> Iterator[bytes]:
    """The bytes of a file of an artifact; ends with an error if they are not those of the manifest."""
    try:
        with storage_errors(file.path), file.path.open("rb") as stream:
            for chunk in checked(
                iter(lambda: stream.read(CHUNK), b""), FileRecord(sha256=file.sha256, bytes=file.bytes), file.path
            ):
                yield chunk
                advance(len(chunk))
    except CorruptDataError as error:
        raise ArtifactCorruptError(f"{error}; {ASK}") from None


@contextmanager
def tracked(reporter: Reporter, label: str, size: int) -> Iterator[Advance]:
    """Show the progress of copying in MB; the function that it gives takes numbers of bytes."""
    done = 0
    with reporter.track(f"{label} (MB)", -(-size // MEGABYTE)) as show:

        def advance(count: int, **fields: object) -> None:
            nonlocal done
            before, done = done // MEGABYTE, done + count
            show(done // MEGABYTE - before, **fields)

        yield advance


class Unpacked(NamedTuple):
    """The artifacts of an archive, and which of them the store held already."""

    artifacts: list[Artifact]
    there: set[str]


def unpack(stream: BinaryIO, store: Store, reporter: Reporter, place: object, size: int = 0) -> Unpacked:
    """Add the artifacts of an archive to a store, if every byte of the archive is right; otherwise change nothing.

    Args:
        stream: open for reading; it need not be seekable.
        place: the file; begins the message of an error.
        size: of the archive in bytes, if it is known.

    Raises:
        CorruptDataError: if the archive is incomplete or was altered, or contains anything but files of artifacts.
        SchemaError: if a newer version of iodine-kit wrote it.
        ResumeError: if the store holds one of the artifacts with different content.
        StorageError: if the disk has too little space, or cannot be written.
    """
    with arriving(store, f"{UNPACKING}{token_hex(8)}") as arrivals, tracked(reporter, "unpack", size) as advance:
        reading = _Reading(arrivals, place, advance)
        for member in read_members(stream, place):
            reading.take(member)
        reading.check_complete()
        return Unpacked(arrivals.commit(), reading.there)


class _Reading:
    """What has been read of an archive."""

    def __init__(self, arrivals: Arrivals, place: object, advance: Advance) -> None:
        self._arrivals, self._place, self._advance = arrivals, place, advance
        self._index: dict[str, str] | None = None
        self._manifests: dict[str, Manifest] = {}
        self._missing: dict[str, set[str]] = {}
        self.there: set[str] = set()

    def take(self, member: Member) -> None:
        """Read a member."""
        if self._index is None:
            self._index = self._read_index(member)
            return
        parts = member.name.split("/", 2)
        if len(parts) < 3 or not is_safe_path(member.name):
            raise CorruptDataError(f"{self._place}: {printable(member.name)!r} is no file of an artifact; {EXPECTED}")
        directory, name = f"{parts[0]}/{parts[1]}", parts[2]
        if name == MANIFEST and directory not in self._manifests:
            self._announce(directory, self._index.get(directory, ""), member)
        else:
            self._receive(directory, name, member)
        self._advance(member.size)

    def _read_index(self, member: Member) -> dict[str, str]:
        """The sha256 of each manifest, by the directory of its artifact."""
        if member.name != INDEX or member.size > LARGEST_MANIFESTS:
            raise CorruptDataError(f"{self._place}: does not begin with the file {INDEX}; {EXPECTED}")
        lines = b"".join(member.chunks).decode("utf-8", "replace").splitlines()
        found = [_LINE.fullmatch(line) for line in lines]
        index = {line[2]: line[1] for line in found if line}
        if len(index) < len(lines):
            raise CorruptDataError(f"{self._place}: {INDEX} is damaged: it was altered; {EXPECTED}")
        return index

    def _announce(self, directory: str, sha256: str, member: Member) -> None:
        place = f"{self._place}: {printable(member.name)}"
        if member.size > LARGEST_MANIFESTS:
            raise CorruptDataError(f"{place}: {TOO_LARGE}")
        data = b"".join(member.chunks)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptDataError(f"{place}: its sha256 differs from the one in {INDEX}: it was altered")
        manifest = self._arrivals.announce(data, place)
        if manifest.reference.directory != directory:
            raise CorruptDataError(f"{place}: belongs to {manifest.reference.directory}: the archive was altered")
        if self._arrivals.is_there(manifest):
            self.there.add(directory)
        self._manifests[directory], self._missing[directory] = manifest, set(manifest.files)

    def _receive(self, directory: str, name: str, member: Member) -> None:
        place = f"{self._place}: {printable(member.name)}"
        if name not in self._missing.get(directory, ()):
            reason = "is there twice" if directory in self._manifests else "comes before the manifest of its artifact"
            listed = directory in self._manifests and name not in self._manifests[directory].files
            raise CorruptDataError(f"{place}: {'is in no manifest' if listed else reason}; {EXPECTED}")
        self._missing[directory].remove(name)
        manifest = self._manifests[directory]
        record = manifest.files[name]
        if member.size != record.bytes:
            raise CorruptDataError(f"{place}: has {member.size} bytes, not {record.bytes}: it was altered")
        if directory in self.there:
            for _ in checked(member.chunks, record, place):
                pass
        else:
            self._arrivals.receive(manifest, name, member.chunks, place)

    def check_complete(self) -> None:
        """Raise :class:`CorruptDataError` unless every file of every manifest was there."""
        for directory, names in self._missing.items():
            if names:
                raise CorruptDataError(f"{self._place}: {directory}/{min(names)} is missing; copy the archive again")
        if absent := (self._index or {}).keys() - self._manifests.keys():
            raise CorruptDataError(f"{self._place}: {min(absent)} is missing; copy the archive again")
        if not self._manifests:
            raise CorruptDataError(f"{self._place}: contains no artifact; {EXPECTED}")
