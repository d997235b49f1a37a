"""``made`` of a manifest, as it is read: no hash protects it, so that an entry of a wrong type counts as missing."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LONGEST = 1e12
"""Seconds; a larger number is no time that an artifact took. The clock may have jumped back meanwhile."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Git(_Table):
    commit: str
    dirty: bool


class _Code(_Table):
    sha256: str = ""
    files: dict[str, str] = {}


class _Made(_Table):
    """Types of the entries; each may be missing, and there may be others."""

    purpose: str = ""
    started: str = ""
    finished: str = ""
    seconds: Annotated[float, Field(ge=-LONGEST, le=LONGEST)] = 0
    command: list[str] = []
    iodine_kit: str = ""
    git: _Git | None = None
    python: str = ""
    packages: dict[str, str | None] = {}
    platform: str = ""
    cpus: int | None = None
    code: _Code | None = None


def well_typed(made: Any) -> Any:
    """The entries of ``made`` that have the type that this code writes, and those that it does not know."""
    if not isinstance(made, dict):
        return made
    try:
        _Made.model_validate(made)
    except ValidationError as error:
        wrong = {one["loc"][0] for one in error.errors(include_url=False, include_context=False, include_input=False)}
        return {name: value for name, value in made.items() if name not in wrong}
    return made


def begun_by(path: Path) -> dict[str, Any]:
    """The code and the command that began a draft, from a file in it, as in ``made``; empty if they are unknown."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, ValueError, RecursionError):
        begun = well_typed(json.loads(path.read_bytes()))
        return begun if isinstance(begun, dict) else {}
    return {}


def code_version(made: dict[str, Any], digits: int | None = None) -> str:
    """The commit of the code that made an artifact, or its release; ``?`` if it is unknown.

    Args:
        digits: of the commit; defaults to all.
    """
    git = made.get("git")
    if git:
        return f"{git['commit'][:digits]}{' (changed)' if git['dirty'] else ''}"
    return f"release {made.get('iodine_kit', '?')}"
