"""The identity of an artifact, known before it is made. Its key is a hash of everything that shapes the result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from iodine_kit.config import Config

KEY_IN_NAME = 12
"""Digits of the key in the name of an artifact's directory."""
VOLATILE = "logs/"
"""Folder of an artifact for files that differ between two executions: times, speeds, event files."""
DOWNLOAD = "download"
"""Kind of a downloaded file. Its bytes are identified as a source, so its address is not part of any key."""


class Reference(Config):
    """How an artifact refers to another; ``content`` is the hash of its files, "" if it is only planned."""

    kind: str
    name: str
    key: str
    content: str = ""

    @property
    def directory(self) -> str:
        """The directory of the artifact in the store, ``kind/name-key12``."""
        return f"{self.kind}/{self.name}-{self.key[:KEY_IN_NAME]}"


class SourceFile(Config):
    """A file from outside the store, identified by its bytes; ``location`` is its path or address."""

    name: str
    sha256: str
    bytes: int
    location: str = ""


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
