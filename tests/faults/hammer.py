"""``make hammer``: the long form of the tests of faults. Writes reports/reliability/results.json and README.md.

``python tests/faults/hammer.py kill fuzz`` runs some of the parts; the results of the others are kept. A part that was
interrupted resumes at the same commit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from faults import reliability_page  # noqa: E402
from faults.damage import DAMAGES, edit_manifest, hit_artifact, hit_draft  # noqa: E402
from faults.forked_commands import Commands  # noqa: E402
from faults.fuzzing import READERS, fuzz  # noqa: E402
from faults.kills import kill  # noqa: E402
from faults.losses import Losses, Say  # noqa: E402
from faults.refusals import ERRORS, refuse  # noqa: E402
from faults.situations import SITUATIONS  # noqa: E402
from faults.stage_commands import StageCommand, StageCommands  # noqa: E402

T = TypeVar("T")
FOLDER = ROOT / "reports" / "reliability"
KILLS, REFUSALS, DRAFTS, EDITS, INPUTS = 16, 2, 12, 4, 100_000
"""Kills of each command; refusals of each kind and command; damaged drafts of each command that resumes; edits of each
manifest; inputs of each reader."""


class Hammer:
    """What all parts share; ``scale`` multiplies the numbers of tries, and rows in ``done`` are not tried again."""

    def __init__(self, scratch: Path, scale: float, seed: int, say: Say) -> None:
        self.scratch, self.scale, self.seed, self.say = scratch, scale, seed, say
        self.done: set[str] = set()
        self._stages: StageCommands | None = None
        self._commands: Commands | None = None

    def times(self, number: int) -> range:
        return range(max(1, round(number * self.scale)))

    def left(self, items: Iterable[T], name: Callable[[T], str]) -> Iterator[tuple[T, str]]:
        """The items whose row is not there yet, each with the name of its row."""
        yield from ((one, name(one)) for one in items if name(one) not in self.done)

    def draw(self, *names: object) -> random.Random:
        return random.Random(f"{self.seed} {names}")

    @property
    def stages(self) -> StageCommands:
        if self._stages is None:
            self._commands = Commands()
            self._stages = StageCommands(self._commands, self.scratch)
            self.say(f"made {len(self._stages.all)} stages undisturbed")
        return self._stages

    def close(self) -> None:
        if self._commands:
            self._commands.__exit__()


def kills(hammer: Hammer) -> Iterator[Losses]:
    """SIGKILL at a random file operation."""
    for one, row in hammer.left(hammer.stages.all, _name):
        losses, number = Losses("kill", row), 0
        share = 0.3 if "workers" in one.name else 1
        while losses.tried < len(hammer.times(round(KILLS * share))):
            kill(hammer.stages, one, hammer.draw("kill", one.name, number), hammer.scratch, losses)
            number += 1
        yield losses


def refusals(hammer: Hammer) -> Iterator[Losses]:
    """Errors of the system in file operations."""
    for trouble, row in hammer.left(ERRORS, str):
        losses = Losses("refuse", row)
        for one in hammer.stages.all:
            for number in hammer.times(REFUSALS if "workers" not in one.name else 1):
                draw = hammer.draw("refuse", trouble, one.name, number)
                refuse(hammer.stages, one, trouble, draw, hammer.scratch, losses)
        yield losses


def situations(hammer: Hammer) -> Iterator[Losses]:
    """Read-only stores, other users, clocks, two processes, readers beside writers."""
    for name, row in hammer.left(SITUATIONS, str):
        losses = Losses("situation", row)
        SITUATIONS[name](hammer.stages, hammer.scratch, losses)
        yield losses


def damaged_artifacts(hammer: Hammer) -> Iterator[Losses]:
    """Every file of every artifact, damaged in every way."""
    for one, row in hammer.left(_makers_of_one_artifact(hammer.stages), _kind):
        losses, counts = Losses("damage", row), Counter[str]()
        place = one.made[0]
        folder = hammer.stages.base / place
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        chosen = [(name, damage, large) for name in files for damage in DAMAGES for large in (False, True)]
        chosen = [pick for pick in chosen if pick[1] == "flipped" or not pick[2]]  # all others change the size
        draw = hammer.draw("damage", one.name)
        for name, damage, large in draw.sample(chosen, min(len(chosen), len(hammer.times(len(chosen))))):
            counts += hit_artifact(hammer.stages, place, name, damage, draw, hammer.scratch, losses, large)
        losses.notes = [f"{what}: {count}" for what, count in sorted(counts.items())]
        yield losses


def damaged_drafts(hammer: Hammer) -> Iterator[Losses]:
    """A file of an interrupted run: journal, checkpoint, unit, shard."""
    for one, row in hammer.left(hammer.stages.all, _name):
        if one.name.startswith(("prepare", "train", "infer", "eval", "probe")) and "workers" not in one.name:
            losses, kinds = Losses("draft", row), Counter[str]()
            for number in hammer.times(DRAFTS):
                draw = hammer.draw("draft", one.name, number)
                kinds[hit_draft(hammer.stages, one, draw, hammer.scratch, losses)] += 1
            losses.notes = [f"{kind}: {count}" for kind, count in sorted(kinds.items()) if kind]
            yield losses


def edited_manifests(hammer: Hammer) -> Iterator[Losses]:
    """One value of a manifest, edited by hand."""
    for one, row in hammer.left(_makers_of_one_artifact(hammer.stages), _kind):
        losses, counts = Losses("manifest", row), Counter[str]()
        for number in hammer.times(EDITS):
            draw = hammer.draw("manifest", one.name, number)
            counts += edit_manifest(hammer.stages, one.made[0], draw, hammer.scratch, losses)
        losses.notes = [f"{what}: {count}" for what, count in sorted(counts.items())]
        yield losses


def fuzzed_readers(hammer: Hammer) -> Iterator[Losses]:
    """Damaged and random inputs of every reader of files."""
    for name, row in hammer.left(READERS, str):
        losses = Losses("fuzz", row)
        fuzz(name, len(hammer.times(INPUTS)), hammer.seed, hammer.scratch, losses, hammer.say)
        yield losses


def _makers_of_one_artifact(stages: StageCommands) -> list[StageCommand]:
    return [one for one in stages.all if one.makes_one_artifact]


def _name(one: StageCommand) -> str:
    return one.name


def _kind(one: StageCommand) -> str:
    return f"{one.made[0].split('/')[1]} of {one.name}"


PARTS: dict[str, Callable[[Hammer], Iterator[Losses]]] = {
    "kill": kills,
    "refuse": refusals,
    "situation": situations,
    "damage": damaged_artifacts,
    "draft": damaged_drafts,
    "manifest": edited_manifests,
    "fuzz": fuzzed_readers,
}


def run_part(name: str, hammer: Hammer, earlier: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a part; yields its results so far, in JSON types, after every row. An interrupted part resumes."""
    result = {**_circumstances(hammer), "finished": False, "seconds": 0, "rows": []}
    if not earlier.get("finished", True) and all(earlier[key] == result[key] for key in ("commit", "scale", "seed")):
        result |= {"seconds": earlier["seconds"], "rows": earlier["rows"]}
    hammer.done, start = {row["what"] for row in result["rows"]}, time.monotonic() - result["seconds"]
    for losses in PARTS[name](hammer):
        hammer.say(f"{name}: {losses.what}: {losses.tried} tried, {len(losses.lost)} lost")
        for sentence in losses.lost:
            hammer.say(f"    {sentence[:500]}")
        result["rows"].append({"what": losses.what, "tried": losses.tried, "lost": losses.lost, "notes": losses.notes})
        result["seconds"] = round(time.monotonic() - start)
        yield result
    result["finished"] = True
    yield result


def _circumstances(hammer: Hammer) -> dict[str, Any]:
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    changes = [line for line in changed.splitlines() if "reports/reliability" not in line]
    return {
        "commit": commit + ("+changes" if changes else ""),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}, Python {platform.python_version()}",
        "seed": hammer.seed,
        "scale": hammer.scale,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main() -> int:
    """Run the parts; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"parts to run: {', '.join(PARTS)}; defaults to all")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of tries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    parts = [part for given in options.parts for part in given.split(",")] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    options.output.mkdir(parents=True, exist_ok=True)
    record = options.output / "results.json"
    results = json.loads(record.read_text("utf-8")) if record.exists() else {}
    start = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - start:6.0f} s  {text}\n")

    with tempfile.TemporaryDirectory(prefix="iodine-kit-hammer-") as scratch:
        hammer = Hammer(Path(scratch), options.scale, options.seed, say)
        try:
            for name in parts:
                for result in run_part(name, hammer, results.get(name, {})):
                    results[name] = result
                    ordered = {part: results[part] for part in PARTS if part in results}
                    record.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", "utf-8")
                    (options.output / "README.md").write_text(reliability_page.page(ordered), "utf-8")
        finally:
            hammer.close()
    return int(any(row["lost"] for name in parts for row in results[name]["rows"]))


if __name__ == "__main__":
    sys.exit(main())
