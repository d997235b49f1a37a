"""The artifact store: directories named by what they were made from, hashed, and renamed into place when complete."""

from iodine_kit.store.hashes import FileHashes
from iodine_kit.store.identity import Identity, Reference, SourceFile, content_hash, contents, file_sha256
from iodine_kit.store.manifest import FileRecord, Manifest
from iodine_kit.store.store import Artifact, Draft, Store

__all__ = [
    "Artifact",
    "Draft",
    "FileHashes",
    "FileRecord",
    "Identity",
    "Manifest",
    "Reference",
    "SourceFile",
    "Store",
    "content_hash",
    "contents",
    "file_sha256",
]
