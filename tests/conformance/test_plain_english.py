"""Words that user-visible text avoids; CONTRIBUTING.md has the rules and the glossary."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from iodine_kit import errors
from iodine_kit.cli.app import app

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "iodine_kit"
AVOIDED = {
    r"told|tells? (of|you)": "print, report, show",
    r"anew": "again; rebuild",
    r"strangers?": "third-party",
    r"(of )?others'|of others": "third-party; another model's",
    r"mend(s|ed|ing)?": "fix, correct, repair",
    r"(came|comes) of (it|that)": "result",
    r"(leave|leaves|leaving|left) (it |them )?out": "omit",
    r"(go|goes|going|went) on": "resume; continue",
    r"minute (files?|images?|nets?|data)": "tiny; a minute is 60 seconds",
    r"be it": "whether …",
    r"(is|are|was|were) nowhere": "is missing",
    r"(say|says|said) (nothing )?of": "does not define; describe",
    r"take heed|heed": "note; warning",
    r"lies? (in|at|on|there|beside|below)|stands? (in|at|beside|below)": "is in, is at",
    r"so many": "a number of; N",
    r"without a word": "without a message",
    r"genuine": "original",
    r"nets?": "network",
    r"laws?": "distribution; rule",
    r"the found|what (was|is) found": "the result",
    r"for want of": "because … is missing",
    r"foretell|foretold": "predict; estimate",
    r"sayable|unsayable": "valid",
    r"nevertheless|none the less": "still; anyway",
    r"begun on|was begun": "was started",
}
"""Pattern of whole words → what to write instead."""
_PATTERN = re.compile("|".join(rf"\b(?:{words})(?!\w)" for words in AVOIDED), re.IGNORECASE)
_SAID = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
_CALLS = {*_SAID, "BadParameter", "ValueError", "note", "echo", "print", "fail", "_print", "KeyboardInterrupt"}


def _texts(node: ast.AST) -> Iterator[str]:
    """String literals in an expression; holes of f-strings are "…"."""
    if isinstance(node, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
        yield "".join(parts)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def _messages(path: Path) -> Iterator[str]:
    """Errors, notes and printed sentences in a module."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in _CALLS:
                for argument in node.args:
                    yield from _texts(argument)


def _prose(text: str) -> str:
    """A page without code, tags, links and template instructions."""
    for pattern in (
        r"```.*?```",
        r"`[^`]*`",
        r"<(script|style).*?</\1>",
        r"\{[%{#].*?[%}#]\}",
        r"<[^>]*>",
        r"\]\([^)]*\)",
    ):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    return " ".join(text.split())


def _hits(text: str) -> list[str]:
    text = " ".join(text.split())
    return [text[max(0, hit.start() - 40) : hit.end() + 40] for hit in _PATTERN.finditer(text)]


def _commands(group: Any, context: Any) -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield name, command
        if hasattr(command, "list_commands"):
            yield from _commands(command, context)


def test_the_help_of_every_command_and_option_is_plain() -> None:
    found = {}
    for name, command in _commands(typer.main.get_command(app), None):
        texts = [command.help or "", command.short_help or ""]
        texts += [getattr(parameter, "help", None) or "" for parameter in command.params]
        if hits := [hit for text in texts for hit in _hits(text)]:
            found[name] = hits
    assert found == {}


FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py")})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_errors_and_notes_are_plain(folder: Path) -> None:
    found = {path.name: [hit for text in _messages(path) for hit in _hits(text)] for path in folder.glob("*.py")}
    assert {name: hits for name, hits in found.items() if hits} == {}


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(PACKAGE.rglob("*.html"))],
    ids=lambda path: str(path.name),
)
def test_pages_are_plain(page: Path) -> None:
    assert _hits(_prose(page.read_text("utf-8"))) == []
