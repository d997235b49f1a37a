"""Commands that a sentence names, such as ``iodine-kit tag --delete best``: they must act on the same store."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

_NAMED = re.compile(r"\biodine-kit ([a-z][a-z-]*)(?![a-z-]| --store)")
_option = ""
_with_store: frozenset[str] = frozenset()


def remember_store(context: Any, default: Path) -> None:
    """Remember ``--store`` of the command that begins, if the user gave another store than commands use without it.

    Args:
        context: of typer, for the command.
        default: the store that commands use without ``--store``.
    """
    global _option, _with_store
    _option, given = "", context.params.get("store")
    source = context.get_parameter_source("store")
    if given is not None and given != default and source is not None and source.name == "COMMANDLINE":
        commands = getattr(context.find_root().command, "commands", {})
        _option = f" --store {_quoted(str(given))}"
        _with_store = frozenset(name for name, one in commands.items() if any("--store" in p.opts for p in one.params))


def _quoted(text: str) -> str:
    """Text for a shell; in double quotes if they suffice, because sentences have commands in single quotes."""
    plain = shlex.quote(text) == text
    return text if plain else shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


def completed(text: str) -> str:
    """A text in which every command of iodine-kit that works on a store has the ``--store`` of this command."""
    if not _option:
        return text
    return _NAMED.sub(lambda found: found[0] + _option * (found[1] in _with_store), text)
