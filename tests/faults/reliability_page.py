"""The page ``reports/reliability/README.md``, from what the hammer recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INTRODUCTION = """# Reliability

What `make hammer` tried, how often, and what was lost. The programs are in [tests/faults](../../tests/faults);
[results.json](results.json) has every row. `make test` runs a short form of each part.

A loss is any of these: a command that ends with a traceback, hangs or uses an exit status of another kind of error; a
half-written artifact that counts as finished; a finished artifact, or anything else in the store, that changes or
disappears; a command that fails or makes other bytes when it is repeated; files that nobody needs and that stay; data
that are read wrongly although a checksum could tell.
"""
ABOUT = {
    "kill": (
        "Processes that are killed",
        "SIGKILL at a random file operation (opening for writing, writing, syncing, renaming, deleting) of "
        "every command, half of the time in the middle of a write, up to three times before the command may "
        "finish. In a third of the tries the artifact exists already and is being replaced. A killed process "
        "loses no data that it gave to the operating system: a power failure is not tried.",
    ),
    "refuse": (
        "Operations that the system refuses",
        "An error of the system in a random file operation and in all later ones, or only in this one. The "
        "command ends in one sentence with exit status 14, or can do without the operation. Then the same "
        "command runs undisturbed.",
    ),
    "situation": ("Situations", "Each with all commands that it concerns."),
    "damage": (
        "Damaged artifacts",
        "Every file of an artifact of every kind is deleted, emptied, cut to half, lengthened by a byte, or "
        "gets a flipped bit. Then `list`, `show`, `verify` and every command that reads the artifact run. "
        "Files of up to 16 MiB are hashed whenever their artifact is used, so every damage is found. Of "
        "larger files only the size is compared when they are used: here this is tried by treating all files "
        "as large, and *only verify finds it* counts the flipped bits that changed a result without a "
        "message. `iodine-kit verify` finds all of them.",
    ),
    "draft": (
        "Damaged interrupted runs",
        "A command that can resume is killed, one file of its draft is damaged, and the command is repeated: "
        "it makes the right bytes, or refuses and makes them with `--overwrite`.",
    ),
    "manifest": (
        "Manifests that are edited by hand",
        "One value of `manifest.json` is replaced, renamed or deleted. This is found, or changes no result.",
    ),
    "fuzz": (
        "Damaged input files",
        "Inputs from atheris, which follows the coverage of the code, or from mutations of our own where it "
        "is not installed. Each reader runs in a process of its own that may allocate 1 GiB more than at its "
        "start and spend 10 s on an input.",
    ),
}


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as Markdown."""
    parts = [INTRODUCTION, _summary(results)]
    for name, result in results.items():
        title, text = ABOUT[name]
        rows = [_row(row) for row in result["rows"]]
        parts.append(
            f"## {title}\n\n{text}\n\n| what | tried | lost | notes |\n|---|--:|--:|---|\n" + "\n".join(rows) + "\n"
        )
        parts += _losses(result)
    return "\n".join(parts)


def _summary(results: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| part | tried | lost | seconds | commit | date | machine |", "|---|--:|--:|--:|---|---|---|"]
    for name, result in results.items():
        tried = sum(row["tried"] for row in result["rows"])
        lost = sum(len(row["lost"]) for row in result["rows"])
        command = f"`make hammer PARTS={name}`" + (f" × {result['scale']:g}" if result["scale"] != 1 else "")
        commit = result["commit"][:12] + result["commit"][40:]
        circumstances = f"{result['seconds']:,} | {commit} | {result['date']} | {result['machine']}"
        lines.append(f"| {command} | {tried:,} | {lost:,} | {circumstances} |")
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any]) -> str:
    return f"| {row['what']} | {row['tried']:,} | {len(row['lost']):,} | {'; '.join(row['notes'])} |"


def _losses(result: Mapping[str, Any]) -> list[str]:
    lost = [
        f"- {row['what']}: {' '.join(sentence.split())[:300]}" for row in result["rows"] for sentence in row["lost"]
    ]
    return ["Lost:\n\n" + "\n".join(lost) + "\n"] if lost else []
