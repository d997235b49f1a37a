"""What an artifact is, known before it is made: its key is a hash of everything that shapes its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from iodine_kit.config import Config

KEY_IN_NAME = 12
VOLATILE = "logs/"
"""Folder of an artifact for what differs between two executions: times, speeds, event files."""


DOWNLOAD = "download"
"""Kind of what was fetched as it is: its bytes are named among the sources, so where it came from does not matter."""


class Reference(Config):
    """An artifact as another one names it; ``content`` is the hash of its files, "" while it is only planned."""

    kind: str
    name: str
    key: str
    content: str = ""

    @property
    def directory(self) -> str:
        """Its place below the store, ``kind/name-key12``."""
        return f"{self.kind}/{self.name}-{self.key[:KEY_IN_NAME]}"


class SourceFile(Config):
    """A file from outside the store, by its bytes; ``location`` is where it came from."""

    name: str
    sha256: str
    bytes: int
    location: str = ""


class Identity(Config):
    """Everything that shapes an artifact.

    Attributes:
        kind: folder of the store: dataset, run, predictions, evaluation, report.
        name: for people; not part of the key.
        stage, version: the code that makes it; the version is raised when its results change.
        plugins: version of every plug-in used, by ``family/name``.
        config: the resolved configuration in full, without anything that cannot change the result.
        inputs: artifacts it is made from, by role.
        sources: files from outside.
    """

    kind: str
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    stage: str
    version: int
    plugins: dict[str, int] = {}
    config: dict[str, Any] = {}
    inputs: dict[str, Reference] = {}
    sources: tuple[SourceFile, ...] = ()

    @property
    def key(self) -> str:
        """sha256 over canonical JSON of all that matters, in hexadecimal."""
        matters = {
            "stage": self.stage,
            "version": self.version,
            "plugins": self.plugins,
            "config": self.config,
            "inputs": {role: made.key for role, made in self.inputs.items() if made.kind != DOWNLOAD},
            "sources": [{"sha256": source.sha256, "bytes": source.bytes} for source in self.sources],
        }
        return hashlib.sha256(canonical_json(matters)).hexdigest()

    @property
    def planned(self) -> Reference:
        """How others refer to it before it exists."""
        return Reference(kind=self.kind, name=self.name, key=self.key)


def contents(inputs: Mapping[str, Reference]) -> dict[str, str]:
    """What inputs hold, by role. A download's bytes are named among the sources: it matters no more than a path."""
    return {role: made.content for role, made in inputs.items() if made.kind != DOWNLOAD}


def canonical_json(value: object) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def content_hash(files: Mapping[str, str]) -> str:
    """One hash over files given as {path: sha256}; logs, which tell of one execution, do not count."""
    return hashlib.sha256(canonical_json({p: h for p, h in files.items() if not p.startswith(VOLATILE)})).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
