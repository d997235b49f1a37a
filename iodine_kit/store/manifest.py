"""``manifest.json``: the identity of an artifact, its files and its facts. It is written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from iodine_kit.config import Config
from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.store.identity import Identity, Reference, canonical_json, content_hash, file_sha256

MANIFEST = "manifest.json"


class FileRecord(Config):
    """A file of an artifact."""

    sha256: str
    bytes: int


class Manifest(Config):
    """The manifest of a finished artifact.

    Attributes:
        identity: everything that shaped the artifact.
        key: key of the identity.
        content: hash over ``files``, without logs.
        files: every file in the directory except the manifest, by relative path.
        facts: what the stage computed, such as counts and metrics.
        facts_sha256: hash of the canonical JSON of ``facts``.
        made: time, command, and versions of code and packages; never part of the key.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["iodine-kit/artifact/1"] = Field(default="iodine-kit/artifact/1", alias="schema")
    key: str
    content: str
    identity: Identity
    files: dict[str, FileRecord]
    facts: dict[str, Any] = {}
    facts_sha256: str
    made: dict[str, Any] = {}

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
    """Hash every file in ``directory`` except those to ``omit``, and return the manifest."""
    files = {path: _record(directory / path) for path in _files_in(directory) if path not in omit}
    content = content_hash({path: record.sha256 for path, record in files.items()})
    return Manifest(
        key=identity.key,
        content=content,
        identity=identity,
        files=files,
        facts=dict(facts),
        facts_sha256=_facts_sha256(facts),
        made=dict(made),
    )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` atomically: a reader sees the old one or the new one, never a part."""
    text = json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False, allow_nan=False)
    temporary = directory.with_name(f".{directory.name}.{MANIFEST}")
    temporary.write_text(text + "\n", "utf-8")
    temporary.replace(directory / MANIFEST)


def read_manifest(directory: Path) -> Manifest:
    """Read ``manifest.json``; raises :class:`ArtifactCorruptError` if it is damaged or its key does not match."""
    path = directory / MANIFEST
    try:
        manifest = Manifest.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        reason = f"{error.error_count()} invalid fields" if isinstance(error, ValidationError) else error
        raise ArtifactCorruptError(
            f"{path}: not a manifest that this version can read ({reason}); delete the artifact and rebuild it"
        ) from None
    if manifest.key != manifest.identity.key:
        raise ArtifactCorruptError(f"{path}: the key does not match the identity: the manifest was altered")
    return manifest


def find_problems(directory: Path, manifest: Manifest, hash_up_to: int | None = None) -> list[str]:
    """Compare the files with the manifest; returns one sentence per file that is missing, altered or not listed.

    Args:
        hash_up_to: largest file to hash, in bytes; defaults to hashing all files.
    """
    present = set(_files_in(directory))
    problems = [f"{path} is not listed in the manifest" for path in sorted(present - manifest.files.keys())]
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
    if _facts_sha256(manifest.facts) != manifest.facts_sha256:
        problems.append("the facts in the manifest were altered")
    return problems


def _files_in(directory: Path) -> list[str]:
    """Relative paths of all files except the manifest, sorted, with ``/`` between parts."""
    paths = (path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != MANIFEST)


def _facts_sha256(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(dict(facts))).hexdigest()


def _record(path: Path) -> FileRecord:
    return FileRecord(sha256=file_sha256(path), bytes=path.stat().st_size)
