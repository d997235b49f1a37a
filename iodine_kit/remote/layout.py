"""How a remote is arranged, and the few operations that ``push`` and ``pull`` need.

iodine-kit-remote.json                                    the version of this arrangement
objects/ab/abcdef…                                        a file, named by its sha256
manifests/KIND/NAME-KEY12/CONTENT.json                    a manifest, sent after all of its files
incoming/…                                                a file that is still being sent
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from iodine_kit.errors import ArtifactCorruptError, CorruptDataError, RemoteError, SchemaError
from iodine_kit.remote.address import Address
from iodine_kit.remote.failures import remote_errors
from iodine_kit.store import Manifest, file_sha256
from iodine_kit.store.arrivals import LARGEST_MANIFESTS, check_manifest
from iodine_kit.store.remedies import ASK

MARKER = "iodine-kit-remote.json"
SCHEMA = "iodine-kit/remote/1"
SMALL = 1 << 16
"""Bytes that a file beside manifests and objects can have."""
BLOCK = 1 << 20
READ_AHEAD = 8 << 20
"""Bytes that are requested at a time."""
PART = 16 << 20
"""Bytes of a part of a large file, for services that receive files in parts."""
_ENTRY = re.compile(r"(?:^|/)manifests/([a-z][a-z0-9-]*)/([a-z0-9][a-z0-9._-]*-[0-9a-f]{12})/([0-9a-f]{64})\.json$")


@dataclass(frozen=True, order=True)
class Entry:
    """An artifact at a remote, named by its directory in the store, ``kind/name-key12``, and its content."""

    directory: str
    content: str

    @property
    def manifest(self) -> str:
        """The name of its manifest at the remote."""
        return f"manifests/{self.directory}/{self.content}.json"


def object_name(sha256: str) -> str:
    """The name of a file at the remote."""
    return f"objects/{sha256[:2]}/{sha256}"


class Remote:
    """A remote that is open. Several threads can use it."""

    def __init__(self, address: Address) -> None:
        """Connect as late as possible; raises :class:`ConfigError` if a package is missing."""
        self.address = address
        with remote_errors(address, "opened"):
            self._system, self._root = address.open()

    def check(self) -> None:
        """Check that this is a remote, of the version that this code knows.

        Raises:
            RemoteError: there is no remote, or it cannot be reached.
            SchemaError: it has another version.
        """
        if not self._has_marker():
            raise RemoteError(
                f"{self.address.shown}: there is no remote here; correct the address, or make one with "
                f"'iodine-kit push ARTIFACT --to {self.address.shown}'"
            )

    def create(self) -> None:
        """Make a remote unless there is one; raises what :meth:`check` raises."""
        if not self.address.kind.writable:
            shown, scheme = self.address.shown, self.address.scheme
            raise RemoteError(f"{shown}: {scheme}:// can only be read; push to another address")
        if not self._has_marker():
            self.write(MARKER, json.dumps({"schema": SCHEMA}).encode() + b"\n")

    def _has_marker(self) -> bool:
        """Whether there is a remote; :class:`SchemaError` if it has another version."""
        with self._impatient():
            data = self.small_file(MARKER)
        if data is None:
            return False
        try:
            schema = json.loads(data)["schema"]
        except (ValueError, KeyError, TypeError, RecursionError):
            schema = "unknown"
        if schema != SCHEMA:
            raise SchemaError(
                f"{self.address.shown}: this remote has the schema {str(schema)[:80]!r}, and this version of "
                f"iodine-kit reads {SCHEMA!r}; update iodine-kit, or use another address"
            )
        return True

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        """Repeat no request: an address that is wrong from the beginning shall fail soon. Only S3 repeats requests."""
        patience = getattr(self._system, "retries", None)
        if patience is not None:
            self._system.retries = 1
        yield
        if patience is not None:
            self._system.retries = patience

    def remedy(self, directory: str) -> str:
        """What to do if an artifact is damaged here; ``directory`` is that of the artifact, ``kind/name-key12``."""
        command = f"iodine-kit push --store DIR {directory} --to {self.address.shown} --overwrite"
        return f"repair it from a store that has the artifact: {command}"

    def sizes(self, folder: str) -> dict[str, int]:
        """Names and sizes of the files directly in a folder; empty if there is no such folder."""
        with remote_errors(self.address, "read"):
            try:
                listed = self._system.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
        return {one["name"].rpartition("/")[2]: int(one["size"] or 0) for one in listed if one["type"] == "file"}

    def entries(self) -> list[Entry]:
        """All artifacts, sorted by name."""
        with remote_errors(self.address, "read"):
            try:
                found = self._system.find(self._path("manifests"))
            except FileNotFoundError:
                return []
        matches = (_ENTRY.search(name) for name in found)
        return sorted({Entry(f"{match[1]}/{match[2]}", match[3]) for match in matches if match})

    def manifest(self, entry: Entry) -> tuple[bytes, Manifest]:
        """The manifest of an artifact: its bytes, and what they say.

        Raises:
            CorruptDataError: it is missing or damaged, belongs to another artifact, or names what it must not name.
            SchemaError: a newer version of iodine-kit wrote it.
        """
        place, remedy = f"{self.address.shown}/{entry.manifest}", self.remedy(entry.directory)
        try:
            data = self._read(entry.manifest, LARGEST_MANIFESTS)
        except FileNotFoundError:
            raise CorruptDataError(f"{place}: is missing; {remedy}") from None
        if len(data) > LARGEST_MANIFESTS:
            raise CorruptDataError(f"{place}: is no manifest, because it is too long; {remedy}")
        manifest = check_manifest(data, place, remedy)
        if Entry(manifest.reference.directory, manifest.content) != entry:
            raise CorruptDataError(f"{place}: belongs to another artifact; {remedy}")
        return data, manifest

    def small_file(self, name: str) -> bytes | None:
        """The first 64 kB of a file; ``None`` if there is none."""
        try:
            return self._read(name, SMALL)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a small file; others see all of it or nothing."""
        with remote_errors(self.address, "written"):
            if self.address.kind.atomic:
                self._system.pipe_file(self._path(name), data)
                return
            incoming = self._incoming()
            with self._system.open(incoming, "wb") as target:
                target.write(data)
            self._move(incoming, name)

    def send(self, source: Path, sha256: str, advance: Callable[[int], None]) -> None:
        """Send a file; others see all of it or nothing.

        Args:
            advance: called with numbers of bytes; what it raises stops the transfer.

        Raises:
            ArtifactCorruptError: the file does not have this hash.
        """
        with remote_errors(self.address, "written"):
            if self.address.kind.atomic:
                _refuse_altered(source, file_sha256(source), sha256)
                self._put(source, object_name(sha256), advance)
            else:
                self._copy(source, sha256, advance)

    def open(self, sha256: str) -> BinaryIO:
        """Open an object for reading; raises ``FileNotFoundError`` if it is missing."""
        opened: BinaryIO = self._system.open(self._path(object_name(sha256)), "rb", block_size=READ_AHEAD)
        return opened

    def _put(self, source: Path, name: str, advance: Callable[[int], None]) -> None:
        from fsspec.callbacks import Callback

        class Counting(Callback):  # type: ignore[misc]
            def relative_update(self, inc: int = 1) -> None:
                advance(inc)

        options: dict[str, Any] = {"chunksize": PART} if self.address.scheme == "s3" else {}
        self._system.put_file(str(source), self._path(name), callback=Counting(), **options)

    def _copy(self, source: Path, sha256: str, advance: Callable[[int], None]) -> None:
        """Send a file under another name, hash it meanwhile, and rename it."""
        incoming, digest = self._incoming(), hashlib.sha256()
        try:
            with source.open("rb") as file, self._system.open(incoming, "wb") as target:
                while block := file.read(BLOCK):
                    digest.update(block)
                    target.write(block)
                    advance(len(block))
                if self.address.scheme == "file":
                    target.flush()
                    os.fsync(target.fileno())
            _refuse_altered(source, digest.hexdigest(), sha256)
        except BaseException:
            self._forget(incoming)
            raise
        self._move(incoming, object_name(sha256))

    def _read(self, name: str, limit: int) -> bytes:
        with remote_errors(self.address, "read"), self._system.open(self._path(name), "rb") as file:
            data: bytes = file.read(limit + 1)
        return data

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _incoming(self) -> str:
        folder = self._path("incoming")
        self._system.makedirs(folder, exist_ok=True)
        return f"{folder}/{token_hex(16)}"

    def _move(self, incoming: str, name: str) -> None:
        """Rename a complete file. fsspec's own function would expand ``*`` in the path of the remote."""
        final = self._path(name)
        self._system.makedirs(final.rpartition("/")[0], exist_ok=True)
        if self.address.scheme == "file":
            Path(incoming).replace(final)
        elif self.address.scheme == "memory":
            self._system.cp_file(incoming, final)
            self._system.rm_file(incoming)
        else:
            self._system.mv(incoming, final)

    def _forget(self, incoming: str) -> None:
        with suppress(Exception):  # the error that led here is the one to report
            self._system.rm_file(incoming)


def _refuse_altered(source: Path, found: str, sha256: str) -> None:
    if found != sha256:
        raise ArtifactCorruptError(f"{source}: was altered: its sha256 differs from the manifest; {ASK}")
