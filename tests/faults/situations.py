"""Situations beyond refused operations: stores of others, wrong clocks, two processes, readers beside writers."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.forked_commands import Commands, Fault
from faults.kills import look, repeat
from faults.losses import Losses
from faults.refusals import require_sentence
from faults.stage_commands import StageCommands, contents, has_traceback, snapshot

from iodine_kit.errors import ResumeError, StorageError

YEAR = 365 * 24 * 3600
LOOKS = (["list"], ["list", "--json"], ["datasets"])


def a_store_that_cannot_be_written(stages: StageCommands, scratch: Path, losses: Losses) -> None:
    """What only reads works; what would write ends in one sentence, and the store is unchanged."""
    with tempfile.TemporaryDirectory(prefix="iodine-kit-readonly-") as place:
        Path(place).chmod(0o755)
        folder = stages.copy(Path(place) / "base")
        for path in [folder, *folder.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
        before = snapshot(folder)
        artifact = stages["eval"].made[0]
        for command in (*LOOKS, ["show", artifact], ["verify", artifact]):
            ended = stages.commands.run(*command, folder=folder, powerless=True)
            losses.tried += 1
            losses.require(ended.status == 0 and not has_traceback(ended), f"{command}: {ended.status}: {ended.err}")
        for one in stages.all:
            if one.makes_one_artifact:
                ended = stages.commands.run(*one.arguments, folder=folder, powerless=True)
                losses.tried += 1
                losses.require(
                    ended.status == 0, f"{one.name} is up to date, and ends with {ended.status}: {ended.err}"
                )
                ended = stages.commands.run(*one.arguments, "--overwrite", folder=folder, powerless=True)
                losses.tried += 1
                require_sentence(ended, StorageError.exit_status, f"{one.name} --overwrite", losses)
        losses.require(snapshot(folder) == before, "the store was changed")
        for path in [folder, *folder.rglob("*")]:
            path.chmod(path.stat().st_mode | stat.S_IWUSR)


def a_clock_that_jumps_back(stages: StageCommands, scratch: Path, losses: Losses) -> None:
    """A year earlier: what is there is up to date, and what is made is the same."""
    for one in (one for one in stages.all if not one.removes):
        folder = stages.copy(scratch / "clock")
        ended = stages.commands.run(*one.arguments, *one.again, folder=folder, fault=Fault(clock=-YEAR))
        losses.tried += 1
        losses.require(ended.status == 0, f"{one.name} again, a year earlier: {ended.err}")
        folder = stages.copy(scratch / "clock", one)
        ended = stages.commands.run(*one.arguments, folder=folder, fault=Fault(clock=-YEAR))
        losses.tried += 1
        losses.require(ended.status == 0, f"{one.name}, a year earlier: {ended.err}")
        losses.require(contents(folder, one.made) == one.content, f"{one.name}, a year earlier: another content")


def files_from_the_future(stages: StageCommands, scratch: Path, losses: Losses) -> None:
    """Files of next year are found; what is used now counts as used most recently among those of the same day."""
    for one in (one for one in stages.all if not one.removes):
        folder = stages.copy(scratch / "future")
        for path in folder.rglob("*"):
            moment = path.stat().st_mtime + YEAR
            os.utime(path, (moment, moment))
        ended = stages.commands.run(*one.arguments, *one.again, folder=folder)
        losses.tried += 1
        losses.require(ended.status == 0, f"{one.name} with files of next year: {ended.err}")
        losses.require(
            contents(folder, one.made) == one.content, f"{one.name} with files of next year: another content"
        )


def two_processes(stages: StageCommands, scratch: Path, losses: Losses) -> None:
    """One of two processes makes the artifact, and the other waits, finds it, or refuses with one sentence."""
    with Commands() as other:
        for one in stages.all:
            if not one.makes_one_artifact:
                continue
            folder = stages.copy(scratch / "two", one)
            before = snapshot(folder)
            with ThreadPoolExecutor(2) as pool:
                runs = [pool.submit(which.run, *one.arguments, folder=folder) for which in (stages.commands, other)]
                ended = [run.result() for run in runs]
            losses.tried += 1
            losses.require(any(run.status == 0 for run in ended), f"{one.name}: both failed: {ended[0].err}")
            for run in ended:
                if run.status:
                    require_sentence(run, ResumeError.exit_status, f"{one.name}, the second process", losses)
            look(stages, one, folder, before, f"{one.name} by two processes", losses)
            repeat(stages, one, folder, [], f"{one.name} by two processes", losses)


def readers_beside_a_writer(stages: StageCommands, scratch: Path, losses: Losses) -> None:
    """While an artifact is rebuilt, commands that read it see a whole one: the old one or the new one."""
    with Commands() as other:
        for name in ("prepare, HDF5", "infer", "eval"):
            one = stages[name]
            folder = stages.copy(scratch / "beside")
            with ThreadPoolExecutor(1) as pool:
                writer = pool.submit(
                    lambda one=one, folder=folder: [
                        other.run(*one.arguments, "--overwrite", folder=folder).status for _ in range(4)
                    ]
                )
                while not writer.done():
                    for command in (["list", "--json"], ["show", one.made[0]]):
                        ended = stages.commands.run(*command, folder=folder)
                        losses.tried += 1
                        right = ended.status == 0 and one.made[0] in ended.out
                        losses.require(right, f"{command[0]} beside {name} --overwrite: {ended.status}: {ended.err}")
                losses.require(set(writer.result()) == {0}, f"{name} --overwrite beside readers fails")


def a_small_disk(stages: StageCommands, scratch: Path, losses: Losses) -> None:
    """A real file system of 2 MB that is almost full; only where mounting is allowed."""
    disk = scratch / "disk"
    disk.mkdir(exist_ok=True)
    for one in stages.all:
        if os.system(f"mount -t tmpfs -o size=12m none '{disk}' 2>/dev/null") != 0:
            losses.notes = ["mounting is not allowed here"]
            return
        try:
            folder = stages.copy(disk / "base", one)
            before = snapshot(folder)
            free = shutil.disk_usage(disk).free
            (disk / "filler").write_bytes(bytes(max(0, free - 12_000)))
            ended = stages.commands.run(*one.arguments, folder=folder)
            losses.tried += 1
            if ended.status:
                require_sentence(ended, StorageError.exit_status, f"{one.name} on a full disk", losses)
            (disk / "filler").unlink()
            look(stages, one, folder, before, f"{one.name} on a full disk", losses)
            repeat(stages, one, folder, [], f"{one.name} after a full disk", losses)
        finally:
            os.system(f"umount '{disk}'")


SITUATIONS: dict[str, Callable[[StageCommands, Path, Losses], None]] = {
    "a store that cannot be written": a_store_that_cannot_be_written,
    "a small disk": a_small_disk,
    "a clock that jumps back": a_clock_that_jumps_back,
    "files from the future": files_from_the_future,
    "two processes": two_processes,
    "readers beside a writer": readers_beside_a_writer,
}
