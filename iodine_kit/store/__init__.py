"""The artifact store: directories whose names contain a hash of everything that shaped them, renamed when complete."""

from iodine_kit.store.artifact import Artifact, ArtifactFacts, Draft, Unfinished, read_facts
from iodine_kit.store.hashes import FileHashes
from iodine_kit.store.manifest import (
    FileRecord,
    Identity,
    Manifest,
    Reference,
    SourceFile,
    content_hash,
    file_sha256,
    input_contents,
)
from iodine_kit.store.store import Store

__all__ = [
    "Artifact",
    "ArtifactFacts",
    "Draft",
    "FileHashes",
    "FileRecord",
    "Identity",
    "Manifest",
    "Reference",
    "SourceFile",
    "Store",
    "Unfinished",
    "content_hash",
    "file_sha256",
    "input_contents",
    "read_facts",
]
