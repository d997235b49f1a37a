"""Sources of published data: files on this machine, or addresses that are downloaded once into the store."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from iodine_kit.errors import IodineKitError, SourceError
from iodine_kit.formatting import counted
from iodine_kit.progress import Advance, Reporter
from iodine_kit.runner import Context, FactValues, Job, obtain
from iodine_kit.store import Artifact, FileHashes, Identity, Reference, SourceFile, Store
from iodine_kit.system import expand_home, storage_errors, to_path
from iodine_kit.untrusted.folders import artifact_kind, as_spelled, is_data, natural_order, printable

VERSION = 1
BLOCK = 1 << 20
SCHEMES = frozenset(("file", "memory", "http", "https", "ftp", "s3", "gs", "gcs", "az", "abfs", "sftp", "ssh", "hf"))
"""The schemes that an address may have. fsspec knows more: some run programs, or unpack archives."""
SHOWN_SCHEMES = "https://, s3://, gs://, az://, sftp://, hf:// and file:///"
LISTED_FILES = 128
"""More files than this are identified by one common hash: a manifest should not list 100,000 pictures."""


@dataclass(frozen=True)
class Fetched:
    """The source that a user named, as files on this machine.

    Attributes:
        paths: files and folders, in the order in which they were named.
        locations: where each one comes from.
        downloads: the artifacts that hold the downloaded files, by role.
    """

    paths: tuple[Path, ...]
    locations: tuple[str, ...]
    downloads: dict[str, Reference]


def fetch(locations: Sequence[str], context: Context) -> Fetched:
    """Expand patterns and download addresses.

    Raises:
        SourceError: if something is missing, or an address cannot be reached, or the context forbids its download.
    """
    paths: list[Path] = []
    downloads: dict[str, Reference] = {}
    found = [one for location in locations for one in _expand(expand_home(location))]
    for location in found:
        if "://" not in location:
            paths.append(to_path(location))
            refuse_artifact(paths[-1])
        else:
            artifact = _downloaded(location, context)
            downloads["download" + (f"-{len(downloads)}" if downloads else "")] = artifact.reference
            paths.append(artifact.path / _file_name(location))
    return Fetched(tuple(paths), tuple(found), downloads)


def refuse_artifact(path: Path) -> None:
    """Raise :class:`SourceError` for a folder that is an artifact: what is in it was made by this package."""
    kind = artifact_kind(path)
    if kind == "dataset":
        command = shlex.join(["iodine-kit", "stats", str(path), "--store", str(path.absolute().parents[1])])
        raise SourceError(f"{path}: this is a data set of iodine-kit, already prepared; use it as it is: {command}")
    if kind:
        raise SourceError(
            f"{path}: this is an artifact of iodine-kit ({kind}), not a source; give the files themselves"
        )


def identify(
    store: Store,
    files: Sequence[Path],
    fetched: Fetched,
    reporter: Reporter,
    auxiliary: Collection[Path] = (),
) -> tuple[SourceFile, ...]:
    """Hash files: one entry per file, or one entry for all if there are more than :data:`LISTED_FILES`.

    ``auxiliary`` files hold no scenes of their own, such as masks: several may have the same content.
    """
    total = sum(file.stat().st_size for file in files)
    reporter.note(f"reading {_counted(files)} ({total:,} bytes)")
    others = set(auxiliary)
    _refuse_repeated([file for file in files if file not in others])
    origin = dict(zip(fetched.paths, fetched.locations, strict=True))
    with (
        closing(FileHashes(store.root / ".cache" / "hashes.sqlite")) as hashes,
        reporter.track("identify", total) as advance,
    ):
        found = [_source_file(file, hashes, origin.get(file, str(file)), advance) for file in files]
    _note_copies([(file, one) for file, one in zip(files, found, strict=True) if file not in others], reporter)
    if len(found) <= LISTED_FILES:
        return tuple(found)
    combined = hashlib.sha256("".join(f"{file.sha256} {file.bytes}\n" for file in found).encode()).hexdigest()
    return (
        SourceFile(name=f"{len(found)} files", sha256=combined, bytes=total, location=printable(fetched.locations[0])),
    )


def names_hash(files: Sequence[Path], fetched: Fetched) -> str:
    """One hash over the paths of files, relative to the folders that were named."""
    return hashlib.sha256("\n".join(printable(_below(file, fetched.paths)) for file in files).encode()).hexdigest()


def _below(file: Path, paths: Sequence[Path]) -> str:
    folder = next((path for path in paths if path.is_dir() and file.is_relative_to(path)), file.parent)
    return file.relative_to(folder).as_posix()


def _expand(location: str) -> list[str]:
    """The files that match a pattern, in natural order; a location that is no pattern stands for itself."""
    if not has_magic(location):
        if location and "://" not in location:
            location = _spelled(location)
        if "://" not in location and not (location and Path(location).exists()):
            if location and Path(location).is_symlink():
                raise SourceError(
                    f"{location}: is a symbolic link that leads to no file; replace it by the file or folder"
                )
            raise SourceError(f"{location}: no such file or folder; give --source PATH or an address, or --generate N")
        return [location]
    if "://" not in location:
        found = [location] if Path(location).exists() else glob(location, recursive=True)  # noqa: PTH207
    else:
        filesystem, pattern = _filesystem(location)
        found = [filesystem.unstrip_protocol(name) for name in filesystem.glob(pattern)]
    data = [one for one in found if is_data(Path(one).name)]
    found = sorted(data or found, key=natural_order)
    if not found:
        raise SourceError(f"{location}: no file matches this pattern")
    return found


def _spelled(location: str) -> str:
    """A path in the Unicode form of the disk; unchanged if it is there as it is."""
    return location if Path(location).exists() else str(as_spelled(Path(location)))


def _downloaded(location: str, context: Context) -> Artifact:
    job = _download_job(location, context.reporter)
    if not context.download and context.store.find(job.identity) is None:
        raise SourceError(f"{location}: not downloaded yet")
    return obtain(job, context)


def _refuse_repeated(files: Sequence[Path]) -> None:
    """Raise :class:`SourceError` if a file is named twice, which would double its scenes."""
    seen: set[Path] = set()
    folders: dict[Path, Path] = {}  # resolving a path takes long, and 100,000 pictures may be in one folder
    for file in files:
        if file.parent not in folders:
            folders[file.parent] = file.parent.resolve()
        real = file.resolve() if file.is_symlink() else folders[file.parent] / file.name
        if real in seen:
            raise SourceError(f"{file}: this file is named twice, by itself and by a folder or pattern; name it once")
        seen.add(real)


def _note_copies(found: Sequence[tuple[Path, SourceFile]], reporter: Reporter) -> None:
    first: dict[str, Path] = {}
    for file, source in found:
        if first.setdefault(source.sha256, file) != file:
            reporter.note(f"note: {file} and {first[source.sha256]} hold the same bytes: their scenes count twice")
            return


def _source_file(path: Path, hashes: FileHashes, location: str, advance: Advance) -> SourceFile:
    digest = hashes.sha256(path)
    advance(path.stat().st_size)
    size = path.stat().st_size
    return SourceFile(name=printable(path.name), sha256=digest, bytes=size, location=printable(location))


def _counted(files: Sequence[Path]) -> str:
    if len(files) == 1:
        return str(files[0])
    folder = os.path.commonpath([os.path.abspath(file) for file in files])  # noqa: PTH100 - resolves "..", no links
    return f"{counted(len(files), 'file')} in {folder if files[0].is_absolute() else os.path.relpath(folder)}"


def _file_name(location: str) -> str:
    """The last part of the address; it never contains a separator."""
    return Path(urlsplit(location).path).name or "download"


def _download_job(location: str, reporter: Reporter) -> Job:
    name = hashlib.sha256(location.encode()).hexdigest()[:8]
    identity = Identity(kind="download", name=name, stage="download", version=VERSION, config={"location": location})
    return Job(identity, lambda out: _download(location, out / _file_name(location), reporter), state="*.part")


def _download(location: str, path: Path, reporter: Reporter) -> FactValues:
    """Download ``location`` to ``path``; resume an earlier download that was cut off."""
    part = path.with_name(path.name + ".part")
    try:
        filesystem, remote = _filesystem(location)
        size = filesystem.info(remote)["size"]
        done = part.stat().st_size if part.exists() and size else 0
        done = done if done <= (size or 0) else 0  # larger than the file: the beginning of another one
        with filesystem.open(remote, "rb") as source, part.open("ab" if done else "wb") as target:
            if done:
                source.seek(done)
            with reporter.track(f"download {path.name}", size or 0, done) as advance:
                while block := source.read(BLOCK):
                    with storage_errors(part, "written"):
                        target.write(block)
                        target.flush()
                    advance(len(block))
    except IodineKitError:
        raise
    except Exception as error:  # fsspec's back ends raise errors of many libraries; all mean that the download failed
        if isinstance(error, OSError) and error.errno is not None and error.filename == str(part):
            raise
        reason = " ".join(str(error).split())
        reason = type(error).__name__ if reason in ("", location) else reason
        raise SourceError(
            f"{location}: cannot be downloaded ({reason}); try again later or give --source FILE"
        ) from None
    if size and part.stat().st_size != size:
        raise SourceError(
            f"{location}: the download ended at {part.stat().st_size} of {size} bytes; run the same command to resume"
        )
    part.rename(path)
    return {"location": location, "bytes": path.stat().st_size}


def _filesystem(location: str) -> tuple[Any, str]:
    import fsspec  # here, because only addresses need it

    scheme = location.partition("://")[0].lower()
    if scheme not in SCHEMES or "::" in location:
        raise SourceError(f"{location}: addresses of this kind are not opened; give a path, or one of {SHOWN_SCHEMES}")
    options = {"client_kwargs": {"trust_env": True}} if location.startswith("http") else {}
    filesystem, remote = fsspec.core.url_to_fs(location, **options)
    return filesystem, remote
