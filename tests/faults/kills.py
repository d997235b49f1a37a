"""Kill a command at one of its file operations, look at the store, and repeat the command until it finishes."""

from __future__ import annotations

import random
from pathlib import Path

from faults.forked_commands import Fault
from faults.losses import Losses
from faults.stage_commands import StageCommand, StageCommands, belongs_to, contents, has_traceback, snapshot

from iodine_kit.store import Store
from iodine_kit.store.manifest import find_problems


def kill(stages: StageCommands, one: StageCommand, draw: random.Random, scratch: Path, losses: Losses) -> int:
    """Kill the command once or several times before it finishes; returns the number of kills.

    In one try of three, the artifact exists already and is being replaced.
    """
    replaces = one.makes_one_artifact and draw.random() < 1 / 3
    folder = stages.copy(scratch / "killed", None if replaces else one)
    before, kills = snapshot(folder), 0
    options = ["--overwrite"] if replaces else []
    place = f"{one.name}{' --overwrite' if replaces else ''}"
    while kills < 3 and (kills == 0 or draw.random() < 0.4):
        fault = Fault("kill", at=draw.randint(1, one.events), torn=draw.random() < 0.5)
        ended = stages.commands.run(*one.arguments, *options, folder=folder, fault=fault)
        if not ended.killed:
            break
        kills += 1
        losses.tried += 1
        look(stages, one, folder, before, f"{place}, killed at operation {fault.at}{' torn' * fault.torn}", losses)
        if replaces:
            finished = contents(folder, one.made) == one.content
            losses.require(finished, f"{place}, killed at operation {fault.at}: the finished artifact is gone")
    repeat(stages, one, folder, options, f"{place} after {kills} kills", losses)
    return kills


def look(
    stages: StageCommands, one: StageCommand, folder: Path, before: dict[str, str], place: str, losses: Losses
) -> None:
    """Check what a killed command left."""
    listed = stages.commands.run("list", folder=folder)
    losses.require(listed.status == 0 and not has_traceback(listed), f"{place}: list fails: {listed.err}")
    _check_artifacts(folder, place, losses)
    finished = {path: digest for path, digest in contents(folder, one.made).items() if path.startswith("data/")}
    right = contents(stages.base, one.made) if one.removes else one.content
    losses.require(finished.items() <= right.items(), f"{place}: it counts as finished with another content")
    changed = {path for path, _ in before.items() ^ snapshot(folder).items() if not belongs_to(path, one.made)}
    losses.require(not changed, f"{place}: it changed {sorted(changed)}")


def repeat(
    stages: StageCommands, one: StageCommand, folder: Path, options: list[str], place: str, losses: Losses
) -> None:
    """Run the command until its end, which must make what an undisturbed one makes."""
    ended = stages.commands.run(*one.arguments, *options, folder=folder)
    if one.again and ended.status == 12:
        ended = stages.commands.run(*one.arguments, *one.again, folder=folder)
    losses.require(ended.status == 0, f"{place}: repeating it fails: {ended.err}")
    differ = sorted(path for path, _ in contents(folder, one.made).items() ^ one.content.items())
    losses.require(not differ, f"{place}: repeating it gives another content of {differ}")
    _check_artifacts(folder, place, losses)
    left = snapshot(folder).keys() - stages.files
    losses.require(not left, f"{place}: these files are left: {sorted(left)}")


def _check_artifacts(folder: Path, place: str, losses: Losses) -> None:
    for artifact in Store(folder / "data").artifacts():
        problems = find_problems(artifact.path, artifact.manifest)
        losses.require(not problems, f"{place}: {artifact.path.name}: {problems}")
