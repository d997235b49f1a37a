"""Tags: names that users give to artifacts, as small files ``.tags/NAME.json`` in the store. ``tag:NAME`` names one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from iodine_kit.config import Config
from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, ConfigError, ResumeError, did_you_mean
from iodine_kit.new_file import put_in_place
from iodine_kit.store.artifact import Artifact
from iodine_kit.store.locks import gate
from iodine_kit.store.manifest import Reference
from iodine_kit.store.store import Store
from iodine_kit.system import storage_errors

FOLDER = ".tags"
PREFIX = "tag:"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Tag(Config):
    """A tag: its name, the artifact that it names with the hash of its content, and when it was made."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["iodine-kit/tag/1"] = Field(default="iodine-kit/tag/1", alias="schema")
    name: str
    artifact: Reference
    created: str


def all_tags(store: Store) -> tuple[list[Tag], list[Path]]:
    """The tags of a store, by name, and the files that are damaged tags."""
    tags, damaged = [], []
    for path in sorted((store.root / FOLDER).glob("[!.]*.json")):
        try:
            tags.append(_read(path))
        except ArtifactCorruptError:
            damaged.append(path)
    return tags, damaged


def names_by_artifact(tags: Iterable[Tag]) -> dict[str, list[str]]:
    """For every artifact with a tag, ``kind/name-key12``: the names of its tags."""
    names: dict[str, list[str]] = {}
    for tag in tags:
        names.setdefault(tag.artifact.directory, []).append(tag.name)
    return names


def tagged(store: Store, name: str) -> Artifact:
    """The artifact that a tag names.

    Raises:
        ArtifactNotFoundError: if there is no such tag, or its artifact is not in the store.
        ArtifactCorruptError: if the tag is damaged, or the artifact was rebuilt with different content since.
    """
    reference = find_tag(store, name).artifact
    artifact = store.load(reference)
    if artifact is None:
        raise ArtifactNotFoundError(
            f"{PREFIX}{name}: {reference.directory} is not in {store.root}; make it again, or delete the tag: "
            f"iodine-kit tag --delete {name}"
        )
    if artifact.manifest.content != reference.content or artifact.manifest.key != reference.key:
        raise ArtifactCorruptError(
            f"{PREFIX}{name}: {reference.directory} was rebuilt with different content since it got this tag; delete "
            f"the tag with 'iodine-kit tag --delete {name}', then tag the artifact again"
        )
    return artifact


def find_tag(store: Store, name: str) -> Tag:
    """The tag of a name; raises :class:`ArtifactNotFoundError` if there is none."""
    path = _path(store, name)
    if not path.is_file():
        names = [tag.name for tag in all_tags(store)[0]]
        raise ArtifactNotFoundError(f"{PREFIX}{name}: no such tag in {store.root}{did_you_mean(name, names)}")
    return _read(path)


def add_tag(store: Store, name: str, artifact: Artifact) -> Tag:
    """Give a name to an artifact; nothing changes if it has this name already.

    Raises:
        ArtifactNotFoundError: if the artifact was removed, or rebuilt with different content, since it was opened.
        ConfigError: if the name cannot be that of a tag.
        ResumeError: if it names another artifact.
        StorageError: if the store cannot be written.
    """
    path = _path(store, name)
    tag = Tag(name=name, artifact=artifact.reference, created=datetime.now(UTC).isoformat(timespec="seconds"))
    with _changing(store):
        there_now = store.load(tag.artifact)
        if there_now is None or there_now.reference != tag.artifact:
            raise ArtifactNotFoundError(
                f"{artifact.path}: this artifact was removed or rebuilt meanwhile; list what there is: iodine-kit list"
            )
        if path.exists():
            there = _read(path)
            if there.artifact == tag.artifact:
                return there
            raise ResumeError(
                f"{PREFIX}{name}: this tag exists and names {there.artifact.directory}; delete it first: "
                f"iodine-kit tag --delete {name}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{token_hex(8)}.tmp")
        try:
            temporary.write_text(json.dumps(tag.model_dump(mode="json", by_alias=True), indent=2) + "\n", "utf-8")
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return tag


def delete_tag(store: Store, name: str) -> None:
    """Delete a tag, also a damaged one; its artifact stays.

    Raises:
        ArtifactNotFoundError: if there is no such tag.
        StorageError: if the store cannot be written.
    """
    path = _path(store, name)
    if not path.is_file():
        find_tag(store, name)
    with _changing(store):
        path.unlink(missing_ok=True)


@contextmanager
def _changing(store: Store) -> Iterator[None]:
    with storage_errors(store.root / FOLDER, "written"), gate(store.root):
        yield


def check_name(name: str) -> None:
    """Raise :class:`ConfigError` if a name cannot be that of a tag."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a tag: write up to 64 lower-case letters, digits, dots, hyphens and underscores, "
            "beginning with a letter or digit"
        )


def _path(store: Store, name: str) -> Path:
    check_name(name)
    return store.root / FOLDER / f"{name}.json"


def _read(path: Path) -> Tag:
    with storage_errors(path):
        data = path.read_bytes()
    try:
        tag = Tag.model_validate_json(data)
    except ValidationError:
        tag = None
    if tag is None or tag.name != path.stem:
        raise ArtifactCorruptError(
            f"{path}: this tag is damaged; delete it with 'iodine-kit tag --delete {path.stem}', then tag the artifact "
            "again"
        )
    return tag
