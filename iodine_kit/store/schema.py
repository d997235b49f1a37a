"""Versions of the manifest's schema: older manifests are migrated when they are read, newer ones are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import iodine_kit
from iodine_kit.errors import SchemaError
from iodine_kit.store.manifest import SCHEMA, Manifest

PREFIX, VERSION = "iodine-kit/artifact/", int(SCHEMA.rpartition("/")[2])
"""``SCHEMA`` is the beginning and the number."""
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Version → a function that turns a manifest of this version into one of the next version, as JSON types."""


def migrated(data: Any, place: object) -> Any:
    """A manifest as JSON types in the current version; what is no manifest at all is returned as it is.

    Args:
        place: the file; begins the message of an error.

    Raises:
        SchemaError: if a newer version of iodine-kit wrote the manifest.
    """
    number = _number(data)
    if number is None:
        return data
    if number > VERSION:
        raise SchemaError(f"{place}: a newer iodine-kit wrote this manifest (version {number} of its schema; "
                          f"iodine-kit {iodine_kit.__version__} reads up to {VERSION}): {_upgrade(data)}")  # fmt: skip
    for step in range(number, VERSION):
        data = {**MIGRATIONS[step](dict(data)), "schema": f"{PREFIX}{step + 1}"}
    return data


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the manifest, as ``docs/artifact.schema.json`` publishes it."""
    schema = _plain(Manifest.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Manifest of an artifact", **schema}


def _plain(value: Any) -> Any:
    """Omit titles and docstrings, and what only some versions of pydantic write and what changes no meaning."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    omitted = {"title", "description"} | ({"enum"} if "const" in value else set())
    omitted |= {"additionalProperties"} if value.get("additionalProperties") is True else set()
    return {key: _plain(one) for key, one in value.items() if key not in omitted}


def _number(data: Any) -> int | None:
    schema = data.get("schema") if isinstance(data, Mapping) else None
    found = re.fullmatch(rf"{PREFIX}([1-9][0-9]{{0,3}})", schema) if isinstance(schema, str) else None
    return int(found[1]) if found else None


def _upgrade(data: Mapping[str, Any]) -> str:
    """What to do: the version of iodine-kit that wrote the manifest can read it."""
    made = data.get("made")
    writer = made.get("iodine_kit") if isinstance(made, Mapping) else None
    known = isinstance(writer, str) and re.fullmatch(r"[0-9][0-9a-z.+]{0,30}", writer)
    return f"install iodine-kit {writer} or later" if known else "install a later version of iodine-kit"
