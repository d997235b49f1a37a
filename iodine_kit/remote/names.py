"""Which artifact of a remote a user means, and the tags of a remote: ``tags/NAME.json``, as in a store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from pydantic import ValidationError

from iodine_kit.errors import ArtifactNotFoundError, ConfigError, CorruptDataError, ResumeError, did_you_mean
from iodine_kit.remote.layout import Entry, Remote
from iodine_kit.store import Store
from iodine_kit.store.artifact import SHORTEST_KEY
from iodine_kit.store.manifest import KEY_IN_NAME
from iodine_kit.store.tags import PREFIX, Tag, check_name, find_tag

FOLDER = "tags"
_MANY = 12
"""More names than this are not listed in an error."""


def choose(place: str, entries: Sequence[Entry], remote: Remote) -> Entry:
    """The artifact that a user means.

    Args:
        place: ``kind/name-key``, a directory name, or the first digits of a key; ``@`` and the first digits of the
            content can follow. Or ``tag:NAME``.

    Raises:
        ArtifactNotFoundError: none matches, or several do.
    """
    if place.startswith(PREFIX):
        return _tagged(read_tag(remote, place.removeprefix(PREFIX)), entries, remote)
    name, _, content = place.rstrip("/").partition("@")
    found = [one for one in entries if _is_meant(name, one.directory) and one.content.startswith(content)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(f"{one.directory}@{one.content[:KEY_IN_NAME]}" for one in found[:_MANY])
        raise ArtifactNotFoundError(
            f"{place}: matches {len(found)} artifacts at {remote.address.shown}: give one of {shown}"
        )
    known = {one.directory for one in entries}
    near = did_you_mean(name, known) if "/" in name else did_you_mean(name, {one.partition("/")[2] for one in known})
    hint = near if "did you mean" in near or len(known) <= _MANY else ""
    raise ArtifactNotFoundError(
        f"{place}: no such artifact at {remote.address.shown}{hint}; 'iodine-kit pull --from {remote.address.shown}' "
        "lists all"
    )


def _tagged(tag: Tag, entries: Sequence[Entry], remote: Remote) -> Entry:
    entry = Entry(tag.artifact.directory, tag.artifact.content)
    if entry not in entries:
        raise ArtifactNotFoundError(
            f"{PREFIX}{tag.name}: the artifact of this tag is not at {remote.address.shown}; push it again"
        )
    return entry


def _is_meant(place: str, directory: str) -> bool:
    """Whether ``place`` means a directory ``kind/name-key12``, as for artifacts of the store."""
    kind, _, name = directory.partition("/")
    stem, _, digits = name.rpartition("-")
    asked, _, rest = place.rpartition("/")
    by_name = asked in ("", kind) and len(rest) >= len(stem) + 1 + SHORTEST_KEY and name.startswith(rest)
    by_key = not asked and len(rest) >= SHORTEST_KEY and digits.startswith(rest[:KEY_IN_NAME])
    return by_name or by_key


def tag_names(remote: Remote) -> list[str]:
    """The names of all tags."""
    return sorted(name.removesuffix(".json") for name in remote.sizes(FOLDER) if name.endswith(".json"))


def tags(remote: Remote) -> list[Tag]:
    """All tags, by name; omits damaged ones."""
    found = []
    for name in tag_names(remote):
        with suppress(CorruptDataError, ConfigError):
            found.append(read_tag(remote, name))
    return found


def read_tag(remote: Remote, name: str) -> Tag:
    """A tag of a remote.

    Raises:
        ArtifactNotFoundError: there is no such tag.
        ConfigError: the name cannot be that of a tag.
        CorruptDataError: it is damaged.
    """
    tag = _find(remote, name)
    if tag is None:
        near = did_you_mean(name, tag_names(remote))
        raise ArtifactNotFoundError(f"{PREFIX}{name}: no such tag at {remote.address.shown}{near}")
    return tag


def send_tag(remote: Remote, tag: Tag) -> None:
    """Send a tag, unless the remote has it; raises what :func:`refuse_moved_tag` raises."""
    if refuse_moved_tag(remote, tag) is None:
        remote.write(_place(tag.name), tag.model_dump_json(by_alias=True).encode() + b"\n")


def refuse_moved_tag(remote: Remote, tag: Tag) -> Tag | None:
    """The same tag at the remote, if there is one; raises :class:`ResumeError` if it names another artifact."""
    there = _find(remote, tag.name)
    if there is not None and there.artifact != tag.artifact:
        raise ResumeError(
            f"{PREFIX}{tag.name}: this tag names {there.artifact.directory} at {remote.address.shown}; use another "
            f"tag, or delete {_place(tag.name)} there first"
        )
    return there


def refuse_other_tag(store: Store, tag: Tag) -> None:
    """Raise :class:`ResumeError` if a tag of the store has this name, but names another artifact."""
    with suppress(ArtifactNotFoundError):
        there = find_tag(store, tag.name)
        if there.artifact != tag.artifact:
            raise ResumeError(
                f"{PREFIX}{tag.name}: this tag names {there.artifact.directory} in {store.root}; pull the artifact as "
                f"{tag.artifact.directory}, or delete your tag first: iodine-kit tag --delete {tag.name}"
            )


def _find(remote: Remote, name: str) -> Tag | None:
    place = _place(name)
    data = remote.small_file(place)
    if data is None:
        return None
    try:
        tag = Tag.model_validate_json(data)
    except ValidationError:
        tag = None
    if tag is None or tag.name != name:
        raise CorruptDataError(f"{remote.address.shown}/{place}: this tag is damaged; delete it, and push it again")
    return tag


def _place(name: str) -> str:
    check_name(name)
    return f"{FOLDER}/{name}.json"
