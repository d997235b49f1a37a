"""Sources of published data: files on this machine, or addresses that are downloaded once into the store."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from urllib.parse import urlsplit

from iodine_kit.addresses import ENCODING, SCHEMES, is_ambiguous, open_address, redacted, without_secrets
from iodine_kit.errors import IodineKitError, SourceError
from iodine_kit.formatting import counted
from iodine_kit.progress import Advance, Reporter
from iodine_kit.runner import Context, FactValues, Job, obtain
from iodine_kit.store import Artifact, FileHashes, Identity, Reference, SourceFile, Store
from iodine_kit.system import expand_home, storage_errors, to_path
from iodine_kit.untrusted.folders import artifact_kind, as_spelled, is_data, natural_order, printable

VERSION = 1
BLOCK = 1 << 20
SHOWN = "a path, https://, s3://, gs://, az://, sftp://, ftp:// or hf://"
LISTED_FILES = 128
"""More files than this are identified by one common hash: a manifest should not list 100,000 pictures."""


@dataclass(frozen=True)
class Fetched:
    """The source that a user named, as files on this machine.

    Attributes:
        paths: files and folders, in the order in which they were named.
        locations: where each one comes from; addresses without their secrets.
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
    found = [one for location in locations for one in _expand(_allowed(expand_home(location)))]
    for location in found:
        if "://" not in location:
            paths.append(to_path(location))
            refuse_artifact(paths[-1])
        else:
            artifact = _downloaded(location, context)
            downloads["download" + (f"-{len(downloads)}" if downloads else "")] = artifact.reference
            paths.append(artifact.path / _file_name(location))
    return Fetched(tuple(paths), tuple(map(without_secrets, found)), downloads)


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
    if not _is_pattern(location):
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
        found = _matches(location)
    data = [one for one in found if is_data(Path(one).name)]
    found = sorted(data or found, key=natural_order)
    if not found:
        raise SourceError(f"{redacted(location)}: no file matches this pattern")
    return found


def _is_pattern(location: str) -> bool:
    """Whether a path or address is a pattern; in an address of the web, ``?`` begins its parameters."""
    return has_magic(location.partition("?")[0] if location.startswith(("http://", "https://")) else location)


def _allowed(location: str) -> str:
    """A path, or an address of a known kind; raises :class:`SourceError` for another one."""
    scheme, separator, rest = location.partition("://")
    if not separator:
        return location
    if scheme.lower() not in SCHEMES or "::" in location:
        raise SourceError(f"{scheme}://…: addresses of this kind are not opened; give {SHOWN}")
    location = f"{scheme.lower()}://{rest}"
    if is_ambiguous(location):
        raise SourceError(f"{scheme}://…: {ENCODING}")
    return location


def _matches(pattern: str) -> list[str]:
    """The files that match a pattern in an address."""
    with _download_errors(pattern):
        filesystem, path = open_address(pattern, redacted(pattern))
        names = [str(name) for name in filesystem.glob(path)]
    scheme, _, rest = pattern.partition("://")
    if scheme in ("sftp", "ssh", "ftp"):  # the names are paths, without user and host
        return [f"{scheme}://{rest.partition('/')[0]}{name}" for name in names]
    return [str(filesystem.unstrip_protocol(name)) for name in names]


@contextmanager
def _download_errors(location: str, part: Path | None = None) -> Iterator[None]:
    """Turn errors into one sentence without secrets, except those of the local file ``part``."""
    try:
        yield
    except IodineKitError:
        raise
    except Exception as error:  # fsspec's back ends raise errors of many libraries; all mean that the download failed
        if isinstance(error, OSError) and error.errno is not None and part and error.filename == str(part):
            raise
        reason = " ".join(str(error).split())
        reason = type(error).__name__ if reason in ("", location) else redacted(reason, location)
        raise SourceError(
            f"{redacted(location)}: cannot be downloaded ({reason}); try again later or give --source FILE"
        ) from None


def _spelled(location: str) -> str:
    """A path in the Unicode form of the disk; unchanged if it is there as it is."""
    return location if Path(location).exists() else str(as_spelled(Path(location)))


def _downloaded(location: str, context: Context) -> Artifact:
    job = _download_job(location, context.reporter)
    if not context.download and context.store.find(job.identity) is None:
        raise SourceError(f"{redacted(location)}: not downloaded yet")
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
    """The job that downloads an address. Its key does not depend on passwords and signatures, which change."""
    recorded = without_secrets(location)
    name = hashlib.sha256(recorded.encode()).hexdigest()[:8]
    identity = Identity(kind="download", name=name, stage="download", version=VERSION, config={"location": recorded})
    return Job(identity, lambda out: _download(location, out / _file_name(location), reporter), state="*.part")


def _download(location: str, path: Path, reporter: Reporter) -> FactValues:
    """Download ``location`` to ``path``; resume an earlier download that was cut off."""
    part = path.with_name(path.name + ".part")
    with _download_errors(location, part):
        filesystem, remote = open_address(location, redacted(location))
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
    if size and part.stat().st_size != size:
        raise SourceError(
            f"{redacted(location)}: the download ended at {part.stat().st_size} of {size} bytes; run the same command "
            "to resume"
        )
    part.rename(path)
    return {"location": without_secrets(location), "bytes": path.stat().st_size}
