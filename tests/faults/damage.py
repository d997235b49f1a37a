"""Damage one file of an artifact or of an interrupted run, then run every command that reads it."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from faults.forked_commands import Ended, Fault
from faults.losses import Losses
from faults.stage_commands import StageCommand, StageCommands, contents, has_traceback

DAMAGES = ("deleted", "emptied", "cut", "flipped", "lengthened")
ACCEPTED = {3, 5, 6, 7, 8, 9, 10, 11, 12, 14}
"""Exit statuses with which a command may refuse a damaged file."""
ALTERED = 11


def damage_file(path: Path, damage: str, draw: random.Random) -> None:
    """Damage a file in one of the ways of ``DAMAGES``."""
    data = bytearray(path.read_bytes())
    if damage == "deleted":
        path.unlink()
        return
    if damage == "flipped" and data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes({"emptied": b"", "cut": data[: len(data) // 2], "lengthened": data + b"\0"}.get(damage, data))


def readers(stages: StageCommands, place: str) -> list[StageCommand]:
    """The commands that work on an artifact."""
    return [one for one in stages.all if place in one.arguments]


def hit_artifact(
    stages: StageCommands, place: str, name: str, damage: str, draw: random.Random, scratch: Path, losses: Losses,
    large: bool = False,
) -> Counter[str]:  # fmt: skip
    """Damage a file of a finished artifact, and run all commands that look at it or read it.

    Args:
        place: of the artifact, relative to the folder with the store.
        name: of the file, relative to the artifact.
        large: treat every file as one that is too large to be hashed whenever it is used.

    Returns:
        How many commands found the damage, and how many made the same result in spite of it.
    """
    folder = stages.copy(scratch / "damaged")
    damage_file(folder / place / name, damage, draw)
    return look_at(stages, folder, place, f"{place}/{name} {damage}{' (large)' * large}", losses, large)


def look_at(
    stages: StageCommands, folder: Path, place: str, what: str, losses: Losses, large: bool = False
) -> Counter[str]:
    """Run all commands that look at an artifact or read it; see :func:`hit_artifact`."""
    counts: Counter[str] = Counter()
    losses.tried += 1
    for command in (["list"], ["list", "--json"], ["show", place], ["verify", place], ["verify", place, "--json"]):
        ended = stages.commands.run(*command, folder=folder, large=large)
        refused = _refused(ended, f"{what}: {command[0]}", losses)
        if command == ["verify", place]:
            counts["found by verify" if refused else "not found by verify"] += 1
    makers = [one for one in stages.all if place in one.made and one.makes_one_artifact]
    for one in [*readers(stages, place), *makers]:
        _use(stages, one, folder, place, what, losses, counts, large)
    return counts


def _use(
    stages: StageCommands, one: StageCommand, folder: Path, place: str, what: str, losses: Losses,
    counts: Counter[str], large: bool,
) -> None:  # fmt: skip
    if place not in one.made:
        for made in one.made:
            stages.remove(folder, made)
    ended = stages.commands.run(*one.arguments, folder=folder, large=large)
    where = f"{what}: {one.name}"
    if _refused(ended, where, losses):
        counts["found by use"] += 1
        if place in one.made and "--overwrite" in ended.sentence:
            again = stages.commands.run(*one.arguments, "--overwrite", folder=folder)
            losses.require(again.status == 0, f"{where} --overwrite fails: {again.err}")
    elif contents(folder, one.made) == one.content:
        counts["harmless"] += 1
    elif large:
        counts["only verify finds it"] += 1
    else:
        losses.lost.append(f"{where}: it made another result without a word")


def _refused(ended: Ended, what: str, losses: Losses) -> bool:
    """Whether a command refused; notes a loss if it ended in another way than with a sentence."""
    if ended.status == -signal.SIGALRM:
        losses.lost.append(f"{what}: hangs")
    elif has_traceback(ended):
        losses.lost.append(f"{what}: traceback: {ended.err[-400:]}")
    elif ended.status and ended.status not in ACCEPTED:
        losses.lost.append(f"{what}: ends with {ended.status}: {ended.err}")
    elif ended.status and ended.err.count("error: ") != 1:
        losses.lost.append(f"{what}: {ended.err.count('error: ')} sentences: {ended.err}")
    return ended.status != 0


def hit_draft(stages: StageCommands, one: StageCommand, draw: random.Random, scratch: Path, losses: Losses) -> str:
    """Kill a command that can resume, damage one file of its draft, and repeat it; returns what that file was."""
    folder = stages.copy(scratch / "draft", one)
    at = draw.randint(one.events // 3, one.events)
    stages.commands.run(*one.arguments, folder=folder, fault=Fault("kill", at))
    files = sorted(path for path in folder.glob("data/*/.*.partial/**/*") if path.is_file())
    if not files:
        return ""
    path, damage = draw.choice(files), draw.choice(DAMAGES)
    damage_file(path, damage, draw)
    losses.tried += 1
    what = f"{one.name} killed at {at}, {path.name} {damage}"
    _refused(stages.commands.run("list", folder=folder), f"{what}: list", losses)
    ended = stages.commands.run(*one.arguments, folder=folder)
    if _refused(ended, what, losses):
        ended = stages.commands.run(*one.arguments, "--overwrite", folder=folder)
        losses.require(ended.status == 0, f"{what}: --overwrite fails: {ended.err}")
    losses.require(contents(folder, one.made) == one.content, f"{what}: another content")
    return path.suffix


def edit_manifest(
    stages: StageCommands, place: str, draw: random.Random, scratch: Path, losses: Losses
) -> Counter[str]:
    """Change one value of a manifest by hand, and run all commands that look at the artifact or read it."""
    folder = stages.copy(scratch / "edited")
    path = folder / place / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    what = edit(manifest, draw)
    path.write_text(json.dumps(manifest), "utf-8")
    return look_at(stages, folder, place, f"{place}: {what}", losses)


def edit(value: Any, draw: random.Random) -> str:
    """Change, delete or add one value somewhere in JSON; returns a description."""
    steps: list[str] = []
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw.choice(keys)
        steps.append(str(key))
        if not (isinstance(value[key], dict | list) and value[key]) or draw.random() < 0.1:
            break
        value = value[key]
    kind = draw.choice(["delete", "rename", "replace"])
    if kind == "replace" or isinstance(value, list):
        value[key] = new = draw.choice(
            [None, "", "x", -1, 1e308, 2**70, True, [], {}, "../../x", "<b>", [[]], {"a": 1}]
        )
        return f"{'.'.join(steps)} = {new!r}"
    old = value.pop(key)
    if kind == "rename":
        value[f"{key}x"] = old
    return f"{kind} {'.'.join(steps)}"
