"""Which artifacts a store holds: rows with size, last use, users and tags, filtered and sorted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from iodine_kit.config import flatten
from iodine_kit.store.artifact import Artifact
from iodine_kit.store.lineage import users
from iodine_kit.store.manifest import MANIFEST

KINDS = (
    "dataset", "run", "predictions", "evaluation", "comparison", "probe", "traversal", "statistics", "report", "study",
    "download",
)  # fmt: skip
"""Kinds of artifacts."""
Order = Literal["used", "size", "name"]


@dataclass(frozen=True)
class Row:
    """A finished artifact as a list shows it.

    Attributes:
        size: bytes of its files, without the manifest.
        used: when it was made or found up to date for the last time, in seconds since 1970.
        users: directories of the artifacts that name it as an input.
        tags: names of its tags.
        problem: the first file that is missing or has another size, as a sentence; "" if there is none.
    """

    artifact: Artifact
    size: int
    used: float
    users: tuple[str, ...]
    tags: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class Filter:
    """Which artifacts to list; every condition that is set must hold.

    Attributes:
        kinds: dataset, run, …
        name: a pattern such as ``iodine-*`` for the name, with or without the kind before it and the key after it.
        unused: no other artifact was made from it, and it has no tag.
        older_than: seconds since the last use.
        tag: a pattern for one of its tags.
        text: occurs in its directory, purpose, tags, command or configuration; upper and lower case are the same.
    """

    kinds: Sequence[str] = ()
    name: str = ""
    unused: bool = False
    older_than: float = 0.0
    tag: str = ""
    text: str = ""

    def accepts(self, row: Row, now: float) -> bool:
        """Whether to list this artifact."""
        return (
            (not self.kinds or row.artifact.reference.kind in self.kinds)
            and (not self.name or _is_named(row.artifact, self.name))
            and not (self.unused and (row.users or row.tags))
            and now - row.used >= self.older_than
            and (not self.tag or any(fnmatchcase(name, self.tag) for name in row.tags))
            and self.text.lower() in _text(row).lower()
        )


def rows(artifacts: Sequence[Artifact], tags: dict[str, list[str]]) -> list[Row]:
    """A row for each artifact of a store, in the order given.

    Args:
        tags: names of tags by ``kind/name-key12``.
    """
    used_by = users(artifacts)
    return [
        Row(
            artifact=one,
            size=sum(record.bytes for record in one.manifest.files.values()),
            used=(one.path / MANIFEST).stat().st_mtime,
            users=tuple(user.reference.directory for user in used_by.get(one.reference.directory, ())),
            tags=tuple(tags.get(one.reference.directory, ())),
            problem=next(_problems(one), ""),
        )
        for one in artifacts
    ]


def _problems(artifact: Artifact) -> Iterator[str]:
    """What is wrong with the files of an artifact, without reading one."""
    for name, record in artifact.manifest.files.items():
        try:
            size = (artifact.path / name).stat().st_size
        except OSError as error:  # what this user may not read is not shown as damaged
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                yield f"{name} is missing"
            continue
        if size != record.bytes:
            yield f"{name} has {size} bytes, not {record.bytes}"


def sorted_rows(found: Sequence[Row], order: Order) -> list[Row]:
    """Rows by last use, size or name; the most recently used or largest one last."""
    if order == "name":
        return sorted(found, key=lambda row: row.artifact.reference.directory)
    return sorted(found, key=lambda row: row.used if order == "used" else row.size)


def _is_named(artifact: Artifact, pattern: str) -> bool:
    reference = artifact.reference
    short = reference.directory.partition("/")[2]
    names = (reference.name, short, reference.directory, f"{reference.kind}/{reference.name}")
    return any(fnmatchcase(name, pattern) for name in names)


def _text(row: Row) -> str:
    manifest = row.artifact.manifest
    settings = [f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
                for name, value in flatten(manifest.identity.config).items()]  # fmt: skip
    command = manifest.made.get("command", [])
    words = " ".join(map(str, command if isinstance(command, list) else []))
    return "\n".join([manifest.reference.directory, row.artifact.purpose, *row.tags, words, *settings])
