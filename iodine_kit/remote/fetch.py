"""One file from a remote: not more bytes than the manifest lists, and an error that names the object and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from iodine_kit.errors import CorruptDataError
from iodine_kit.remote.failures import remote_errors
from iodine_kit.remote.layout import BLOCK, Remote, object_name
from iodine_kit.remote.transfers import Pool
from iodine_kit.store import FileRecord, Manifest
from iodine_kit.store.arrivals import Arrivals


def fetch(remote: Remote, arrivals: Arrivals, manifest: Manifest, name: str, threads: Pool) -> None:
    """Fetch one file of an artifact; it is hashed while it is written.

    Args:
        name: path of the file in the artifact.
        threads: counts the bytes, and stops the transfer.

    Raises:
        CorruptDataError: the object is missing, or has another size or sha256. Nothing of it is kept.
        RemoteError: the remote cannot be reached or refuses.
        StorageError: the disk is full or refuses.
    """
    record = manifest.files[name]
    place = f"{remote.address.shown}/{object_name(record.sha256)}"
    try:
        arrivals.receive(manifest, name, _blocks(remote, record, threads), place)
    except CorruptDataError as error:
        raise CorruptDataError(f"{error}; {remote.remedy(manifest.reference.directory)}") from error


def _blocks(remote: Remote, record: FileRecord, threads: Pool) -> Iterator[bytes]:
    """The bytes of an object; one more than the manifest lists, if there are more."""
    if record.bytes == 0:  # services refuse to send the first byte of nothing
        return
    left = record.bytes + 1
    with _reading(remote, record):
        source = remote.open(record.sha256)
    with closing(source):
        while left > 0:
            with _reading(remote, record):
                block = bytes(source.read(min(BLOCK, left)))
            if not block:
                return
            threads.advance(len(block))
            left -= len(block)
            yield block


@contextmanager
def _reading(remote: Remote, record: FileRecord) -> Iterator[None]:
    try:
        with remote_errors(remote.address, "read"):
            yield
    except FileNotFoundError:
        place = f"{remote.address.shown}/{object_name(record.sha256)}"
        raise CorruptDataError(f"{place}: this object is missing") from None
