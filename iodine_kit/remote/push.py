"""push: send artifacts, and what they were made from, to a remote."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from iodine_kit.errors import ArtifactCorruptError, ConfigError
from iodine_kit.progress import Reporter
from iodine_kit.remote.address import Address
from iodine_kit.remote.layout import Entry, Remote
from iodine_kit.remote.names import refuse_moved_tag, send_tag
from iodine_kit.remote.transfers import JOBS, Pool, Transferred, pool
from iodine_kit.store import Artifact, Store
from iodine_kit.store.lineage import closure
from iodine_kit.store.manifest import MANIFEST, parse_manifest
from iodine_kit.store.remedies import refuse_damaged
from iodine_kit.store.tags import Tag
from iodine_kit.system import storage_errors


class _File(NamedTuple):
    path: Path
    sha256: str
    bytes: int


def push(
    store: Store,
    artifacts: Sequence[Artifact],
    remote: Remote,
    reporter: Reporter,
    *,
    inputs: bool = True,
    jobs: int = JOBS,
    overwrite: bool = False,
    tags: Sequence[Tag] = (),
) -> Transferred:
    """Send artifacts to a remote. What is there is not sent again, so that an interrupted command resumes.

    A file is there if the remote has an object with its sha256 as name and its size; the remote's bytes are not read.
    The manifest of an artifact is sent after its files and after its inputs: whoever sees it can pull it.

    Args:
        store: holds the artifacts.
        remote: is made if it does not exist.
        reporter: receives the progress.
        inputs: also send everything that the artifacts were made from, except published files that were downloaded.
        jobs: most files at the same time.
        overwrite: send everything again, which repairs a damaged remote.
        tags: of the artifacts; the remote gets them, too.

    Raises:
        ArtifactCorruptError: a file was altered, or an input was rebuilt, since its artifact was made.
        ArtifactNotFoundError: the store lacks an input.
        RemoteError: the remote cannot be reached or refuses.
        ConfigError: the remote is in the store.
        ResumeError: the remote has another artifact with one of the tags.
        SchemaError: the remote has another version.
    """
    _refuse_itself(store, remote.address)
    wanted = closure(store, artifacts) if inputs else list(artifacts)
    refuse_damaged(*wanted)
    manifests = {Entry(one.reference.directory, one.reference.content): _manifest(one) for one in wanted}
    remote.create()
    for tag in tags:
        refuse_moved_tag(remote, tag)
    files = _files(wanted)
    result = Transferred(tuple(one.reference.directory for one in wanted))
    jobs = min(jobs, remote.address.kind.jobs)
    size = sum(one.bytes for one in files)
    with reporter.track(f"push {len(files)} files", size) as advance, pool(jobs, advance) as threads:
        missing = files if overwrite else _missing(files, remote, threads)
        there = set(files) - set(missing)
        threads.advance(sum(one.bytes for one in there))
        threads.map(lambda one: remote.send(one.path, one.sha256, threads.advance), missing)
    result.count(len(there), sum(one.bytes for one in there), there=True)
    result.count(len(missing), sum(one.bytes for one in missing), there=False)
    for entry, manifest in manifests.items():
        _send_manifest(entry, manifest, remote, overwrite)
    for tag in tags:
        send_tag(remote, tag)
    return result


def _refuse_itself(store: Store, address: Address) -> None:
    root = os.path.realpath(store.root)
    if address.scheme == "file" and Path(os.path.realpath(address.location)).is_relative_to(root):
        raise ConfigError(f"{address.shown}: this folder is in the store {store.root}: give another folder")


def _files(artifacts: Sequence[Artifact]) -> list[_File]:
    """The files of artifacts; one of several with the same bytes."""
    found: dict[str, _File] = {}
    for artifact in artifacts:
        for name, record in artifact.manifest.files.items():
            found.setdefault(record.sha256, _File(artifact.path / name, record.sha256, record.bytes))
    return list(found.values())


def _missing(files: Sequence[_File], remote: Remote, threads: Pool) -> list[_File]:
    """The files that the remote lacks or has with another size. A folder of objects is listed once."""
    folders = defaultdict[str, list[_File]](list)
    for file in files:
        folders[file.sha256[:2]].append(file)
    names = list(folders)
    listed = threads.map(lambda name: remote.sizes(f"objects/{name}"), names)
    there = dict(zip(names, listed, strict=True))
    return [file for file in files if there[file.sha256[:2]].get(file.sha256) != file.bytes]


def _manifest(artifact: Artifact) -> bytes:
    """The bytes of a manifest, read before hours of sending: the artifact can be rebuilt meanwhile."""
    path = artifact.path / MANIFEST
    with storage_errors(path):
        data = path.read_bytes()
    if parse_manifest(data, path).content != artifact.reference.content:
        raise ArtifactCorruptError(f"{artifact.path}: was rebuilt with different content: push it again")
    return data


def _send_manifest(entry: Entry, data: bytes, remote: Remote, overwrite: bool) -> None:
    folder, _, name = entry.manifest.rpartition("/")
    if overwrite or name not in remote.sizes(folder):
        remote.write(entry.manifest, data)
