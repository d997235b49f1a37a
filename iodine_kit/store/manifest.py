"""``manifest.json``: the identity of an artifact, known before it is made, and its files and facts. Written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from iodine_kit.config import Config
from iodine_kit.errors import ArtifactCorruptError, IodineKitError
from iodine_kit.new_file import put_in_place
from iodine_kit.store.made import well_typed
from iodine_kit.system import readable, storage_errors
from iodine_kit.untrusted.folders import is_data

KEY_IN_NAME = 12
"""Digits of the key in the name of an artifact's directory."""
VOLATILE = "logs/"
"""Folder of an artifact for files that differ between two executions: times, speeds, event files."""
DOWNLOAD = "download"
"""Kind of a downloaded file. Its bytes are identified as a source, so its address is not part of any key."""


Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
"""A folder of the store. Never a path: manifests may come from elsewhere."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""The beginning of an artifact's directory."""


class Reference(Config):
    """How an artifact refers to another; ``content`` is the hash of its files, "" if it is only planned."""

    kind: Kind
    name: Name
    key: str = Field(pattern=r"^[0-9a-f]+$")
    content: str = ""

    @property
    def directory(self) -> str:
        """The directory of the artifact in the store, ``kind/name-key12``."""
        return f"{self.kind}/{self.name}-{self.key[:KEY_IN_NAME]}"


Readable = Annotated[str, BeforeValidator(readable)]
"""Text with the name of a file, which may be no UTF-8."""


class SourceFile(Config):
    """A file from outside the store, identified by its bytes; ``location`` is its path or address."""

    name: Readable
    sha256: str
    bytes: int
    location: Readable = ""


class Identity(Config):
    """Everything that shapes an artifact.

    Attributes:
        kind: folder in the store: dataset, run, predictions, evaluation, report, …
        name: for people; not part of the key.
        stage, version: the code that makes it; the version is raised when results change.
        plugins: version of every plug-in that is used, by ``family/name``.
        config: the complete resolved configuration, without settings that cannot change the result.
        inputs: the artifacts that it is made from, by role.
        sources: the files from outside the store that it is made from.
    """

    kind: Kind
    name: Name
    stage: str
    version: int
    plugins: dict[str, int] = {}
    config: Annotated[dict[str, Any], BeforeValidator(readable)] = {}
    inputs: dict[str, Reference] = {}
    sources: tuple[SourceFile, ...] = ()

    @property
    def key(self) -> str:
        """sha256 of the canonical JSON of everything that shapes the result, in hexadecimal."""
        shaping = {
            "stage": self.stage,
            "version": self.version,
            "plugins": self.plugins,
            "config": self.config,
            "inputs": {role: one.key for role, one in self.inputs.items() if one.kind != DOWNLOAD},
            "sources": [{"sha256": source.sha256, "bytes": source.bytes} for source in self.sources],
        }
        return hashlib.sha256(canonical_json(shaping)).hexdigest()

    @property
    def planned(self) -> Reference:
        """How other artifacts refer to it before it exists."""
        return Reference(kind=self.kind, name=self.name, key=self.key)


def input_contents(inputs: Mapping[str, Reference]) -> dict[str, str]:
    """Content hash of each input, by role. Downloads are omitted: their bytes are identified as sources."""
    return {role: one.content for role, one in inputs.items() if one.kind != DOWNLOAD}


def canonical_json(value: object) -> bytes:
    """Write a value as JSON in exactly one way: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def content_hash(files: Mapping[str, str]) -> str:
    """One hash over files given as {path: sha256}; logs are omitted, because they differ between executions."""
    return hashlib.sha256(canonical_json({p: h for p, h in files.items() if not p.startswith(VOLATILE)})).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of the bytes of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


MANIFEST = "manifest.json"
WRITING = f".{MANIFEST}-"
"""Beginning of the name of a manifest that is being written; a process that is killed leaves it."""
REBUILD = "rebuild the artifact with --overwrite, or in a pipeline with --force STAGE"
NOT_LISTED = " is not listed in the manifest"
"""End of the sentence about a file that the manifest does not list: it may be the user's own."""
SCHEMA: Final = "iodine-kit/artifact/1"
"""The schema that this code writes. Its version is raised if a field is added, removed, or means something else."""


class FileRecord(Config):
    """A file of an artifact."""

    sha256: str
    bytes: int


class Manifest(Config):
    """The manifest of a finished artifact.

    docs/artifacts.md describes the file, and docs/artifact.schema.json is its JSON Schema.

    Attributes:
        schema_: name and version of the schema.
        identity: everything that shaped the artifact.
        key: key of the identity.
        content: hash over ``files``, without logs.
        files: every file in the directory except the manifest, by relative path.
        facts: what the stage computed, such as counts and metrics.
        facts_sha256: hash of the canonical JSON of ``facts``.
        made: time, command, and versions of code and packages; never part of the key.
            An entry of a wrong type counts as missing.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["iodine-kit/artifact/1"] = Field(default=SCHEMA, alias="schema")
    key: str
    content: str
    identity: Identity
    files: dict[str, FileRecord]
    facts: dict[str, Any] = {}
    facts_sha256: str
    made: Annotated[dict[str, Any], BeforeValidator(well_typed)] = {}

    @property
    def reference(self) -> Reference:
        """How other artifacts refer to this one."""
        return Reference(kind=self.identity.kind, name=self.identity.name, key=self.key, content=self.content)


def build_manifest(
    directory: Path,
    identity: Identity,
    facts: Mapping[str, Any],
    made: Mapping[str, Any],
    omit: Collection[str] = (),
) -> Manifest:
    """Hash every file in ``directory`` except the files and folders to ``omit``, and return the manifest."""
    shown = (path for path in _files_in(directory) if path.partition("/")[0] not in omit)
    files = {path: _record(directory / path) for path in shown}
    content, facts = content_hash({path: record.sha256 for path, record in files.items()}), readable(facts)
    return Manifest(
        key=identity.key,
        content=content,
        identity=identity,
        files=files,
        facts=dict(facts),
        facts_sha256=facts_hash(facts),
        made=dict(made),
    )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` atomically: a reader sees the old one or the new one, never a part."""
    text = json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False, allow_nan=False)
    # Hidden, because every other file in the directory must be listed; with a unique name: others may write it too.
    temporary = directory / f"{WRITING}{token_hex(8)}"
    try:
        temporary.write_bytes((text + "\n").encode())
        put_in_place(temporary, directory / MANIFEST)
    finally:
        temporary.unlink(missing_ok=True)


def read_manifest(directory: Path, remedy: str = REBUILD) -> Manifest:
    """Read ``manifest.json``.

    Args:
        remedy: what to do if it is damaged; ends the message of the error.

    Raises:
        ArtifactCorruptError: it is damaged, or its key does not match.
        SchemaError: a newer version of iodine-kit wrote it.
        StorageError: the operating system refuses to read it.
    """
    path = directory / MANIFEST
    with storage_errors(path):
        data = path.read_bytes()
    return parse_manifest(data, path, remedy=remedy)


def parse_manifest(
    data: bytes, place: object, damaged: type[IodineKitError] = ArtifactCorruptError, remedy: str = REBUILD
) -> Manifest:
    """Read a manifest from its bytes.

    Args:
        place: where they come from; begins the message of an error.
        damaged: what to raise if they are no manifest, or its key does not match.
        remedy: what to do then; ends the message.

    Raises:
        SchemaError: if a newer version of iodine-kit wrote the manifest.
    """
    try:
        values = json.loads(data.decode())
        json.dumps(values, ensure_ascii=False, allow_nan=False).encode()  # only what can be hashed and written again
        manifest = Manifest.model_validate(_in_current_version(values, place))
    except (ValueError, ValidationError, RecursionError) as error:
        reason = f"{error.error_count()} invalid fields" if isinstance(error, ValidationError) else error
        raise damaged(f"{place}: not a manifest that this version can read ({reason}); {remedy}") from None
    if manifest.key != manifest.identity.key:
        raise damaged(f"{place}: the key does not match the identity: the manifest was altered; {remedy}")
    return manifest


def _in_current_version(values: Any, place: object) -> Any:
    if isinstance(values, dict) and values.get("schema") == SCHEMA:
        return values
    from iodine_kit.store.schema import migrated

    return migrated(values, place)


def find_problems(directory: Path, manifest: Manifest, hash_up_to: int | None = None) -> list[str]:
    """Compare the files with the manifest; returns one sentence per file that is missing, altered or not listed.

    Args:
        hash_up_to: largest file to hash, in bytes; defaults to hashing all files.
    """
    present = set(_files_in(directory))
    unlisted = sorted(path for path in present - manifest.files.keys() if is_data(path))
    problems = [f"{path}{NOT_LISTED}" for path in unlisted]
    for path, record in manifest.files.items():
        if path not in present:
            problems.append(f"{path} is missing")
        elif (directory / path).stat().st_size != record.bytes:
            problems.append(f"{path} has {(directory / path).stat().st_size} bytes, not {record.bytes}")
        elif (hash_up_to is None or record.bytes <= hash_up_to) and file_sha256(directory / path) != record.sha256:
            problems.append(f"{path} was altered: its sha256 differs from the one in the manifest")
    content = content_hash({path: record.sha256 for path, record in manifest.files.items()})
    if content != manifest.content:
        problems.append("the list of files in the manifest was altered")
    if facts_hash(manifest.facts) != manifest.facts_sha256:
        problems.append("the facts in the manifest were altered")
    return problems


def _files_in(directory: Path) -> list[str]:
    """Relative paths of all files except the manifest and hidden ones, sorted, with ``/`` between parts."""
    paths = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    shown = (path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
    return sorted(path for path in shown if path != MANIFEST)


def facts_hash(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(dict(facts))).hexdigest()


def _record(path: Path) -> FileRecord:
    return FileRecord(sha256=file_sha256(path), bytes=path.stat().st_size)
