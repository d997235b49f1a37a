"""Where published data comes from: a file on this machine, or an address that is downloaded once into the store."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec

from iodine_kit.errors import SourceError
from iodine_kit.progress import Reporter
from iodine_kit.stages.job import Facts, Job, obtain
from iodine_kit.store import Identity, Reference, SourceFile, Store, file_sha256

VERSION = 1
BLOCK = 1 << 20


def local_source(
    store: Store, location: str, reporter: Reporter, *, overwrite: bool = False, fetch: bool = True
) -> tuple[Path, SourceFile, dict[str, Reference]]:
    """Return the file's path, what identifies its bytes, and the download it belongs to, if it is one.

    Raises:
        SourceError: if the file is missing, or the address cannot be reached or, without ``fetch``, was not yet.
    """
    if "://" not in location:
        path = Path(location)
        if not path.is_file():
            raise SourceError(f"{location}: no such file; give --source FILE or an address, or --generate N")
        reporter.note(f"reading {path} ({path.stat().st_size:,} bytes)")
        return path, _source_file(path, str(path)), {}
    job = _download_job(location, reporter)
    if not fetch and store.find(job.identity) is None:
        raise SourceError(f"{location}: not downloaded yet")
    artifact = obtain(store, job, reporter, overwrite=overwrite, resume="auto")
    path = artifact.path / _file_name(location)
    record = artifact.manifest.files[path.name]
    source = SourceFile(name=path.name, sha256=record.sha256, bytes=record.bytes, location=location)
    return path, source, {"download": artifact.reference}


def _source_file(path: Path, location: str) -> SourceFile:
    return SourceFile(name=path.name, sha256=file_sha256(path), bytes=path.stat().st_size, location=location)


def _file_name(location: str) -> str:
    """The last part of the address, never a path of its own."""
    return Path(urlsplit(location).path).name or "download"


def _download_job(location: str, reporter: Reporter) -> Job:
    name = hashlib.sha256(location.encode()).hexdigest()[:8]
    identity = Identity(kind="download", name=name, stage="download", version=VERSION, config={"location": location})
    return Job(identity, lambda out: _download(location, out / _file_name(location), reporter), state="*.part")


def _download(location: str, path: Path, reporter: Reporter) -> Facts:
    """Fetch ``location`` to ``path``, going on where an earlier try stopped."""
    part = path.with_name(path.name + ".part")
    try:
        filesystem, remote = _filesystem(location)
        size = filesystem.info(remote)["size"]
        done = part.stat().st_size if part.exists() and size else 0
        done = done if done <= (size or 0) else 0  # more than there is to fetch: another file's beginning
        with filesystem.open(remote, "rb") as source, part.open("ab" if done else "wb") as target:
            if done:
                source.seek(done)
            with reporter.track(f"download {path.name}", size or 0, done) as advance:
                while block := source.read(BLOCK):
                    target.write(block)
                    advance(len(block))
    except Exception as error:  # fsspec's back ends raise errors of many libraries; all mean the same here
        if isinstance(error, OSError) and error.errno is not None and error.filename == str(part):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(
            f"{location}: cannot be downloaded ({reason}); try again later or give --source FILE"
        ) from None
    if size and part.stat().st_size != size:
        raise SourceError(
            f"{location}: the download ended at {part.stat().st_size} of {size} bytes; run it again to go on"
        )
    part.rename(path)
    return {"location": location, "bytes": path.stat().st_size}


def _filesystem(location: str) -> tuple[Any, str]:
    options = {"client_kwargs": {"trust_env": True}} if location.startswith("http") else {}
    filesystem, remote = fsspec.core.url_to_fs(location, **options)
    return filesystem, remote
