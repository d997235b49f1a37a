"""Check a pipeline before it runs: what would stop it, and how much time, disk and memory it takes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iodine_kit.artifacts.dataset import DatasetFacts
from iodine_kit.config import Values
from iodine_kit.errors import IodineKitError, MemoryLimitError, StorageError
from iodine_kit.formatting import byte_size
from iodine_kit.pipeline import Member, Node, build_graph, expand
from iodine_kit.pipeline.file import COMMANDS, MATRIX
from iodine_kit.pipeline_check.mistakes import valid_members
from iodine_kit.pipeline_check.rates import Estimate, History, estimate
from iodine_kit.pipeline_check.walk import Step, Walk
from iodine_kit.pipeline_check.work import Situation
from iodine_kit.runner import Context
from iodine_kit.training.memory import available_bytes

_LOWER = {
    "run": "lower train.batch_size, or set train.accumulate=2 (or more) or train.recompute=true",
    "predictions": "lower infer.batch_size",
}


@dataclass(frozen=True)
class StageCheck:
    """A stage.

    Attributes:
        stage: what it makes.
        status: ``fresh``, ``interrupted``, ``missing`` or ``damaged``.
        estimate: what it takes; ``None`` if nothing has to be made, or if it cannot be foreseen.
        members: names of the members of a matrix that share it; empty without a matrix.
    """

    stage: str
    status: str
    estimate: Estimate | None
    members: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """The same in JSON's types; without what is not known."""
        members = {"members": list(self.members)} if self.members else {}
        names = {"stage": self.stage, "command": COMMANDS[self.stage], "role": self.stage}
        facts: dict[str, Any] = {**members, **names, "status": self.status}
        if self.estimate:
            seconds = self.estimate.seconds
            facts |= {"seconds": [round(end, 1) for end in seconds]} if seconds else {}
            facts |= {"disk_bytes": int(self.estimate.disk), "memory_bytes": int(self.estimate.memory)}
            facts["basis"] = self.estimate.basis
        return facts


@dataclass(frozen=True)
class PipelineCheck:
    """The result of a check.

    Attributes:
        stages: in their order.
        problems: errors that the pipeline would end with; empty if nothing prevents it from running.
        notes: possible mistakes, in sentences.
        free_bytes: of the disk of the store.
        available_bytes: of memory; ``None`` if unknown.
    """

    stages: tuple[StageCheck, ...]
    problems: tuple[IodineKitError, ...]
    notes: tuple[str, ...]
    free_bytes: int
    available_bytes: int | None

    @property
    def seconds(self) -> tuple[float, float]:
        """Range of the time of all stages whose time is known."""
        known = [one.estimate.seconds for one in self.stages if one.estimate and one.estimate.seconds]
        return sum(low for low, _ in known), sum(high for _, high in known)

    @property
    def disk(self) -> float:
        """Size of everything that has to be made, in bytes."""
        return sum(one.estimate.disk for one in self.stages if one.estimate)

    @property
    def memory(self) -> float:
        """Of the largest process, in bytes."""
        return max((one.estimate.memory for one in self.stages if one.estimate), default=0.0)

    def facts(self) -> dict[str, Any]:
        """Everything in JSON's types."""
        problems = [{"status": one.exit_status, "problem": str(one)} for one in self.problems]
        return {
            "stages": [stage.facts() for stage in self.stages],
            "total": {
                "seconds": [round(end, 1) for end in self.seconds], "disk_bytes": int(self.disk),
                "memory_bytes": int(self.memory),
            },
            "free_bytes": self.free_bytes,
            **({} if self.available_bytes is None else {"available_bytes": self.available_bytes}),
            **({"problems": problems} if problems else {}),
            **({"notes": list(self.notes)} if self.notes else {}),
        }  # fmt: skip


def check_pipeline(
    tables: Mapping[str, Values], context: Context, matrix: Sequence[str] = (), settings: Sequence[str] = ()
) -> PipelineCheck:
    """Check the tables of a pipeline; nothing is made, downloaded or changed.

    Estimates rest on earlier artifacts of the store where there are some of this machine, else on scenes that are made
    now, else on rates of a reference machine (:mod:`iodine_kit.pipeline_check.work`).

    Args:
        matrix, settings: as :func:`iodine_kit.pipeline.expand` takes them.

    """
    history = History(context.store)
    mistakes: list[IodineKitError] = []
    if matrix or MATRIX in tables:
        try:
            members, mistakes = valid_members(expand(tables, matrix, settings, checked=False))
            walks, stages = _walk_members(members, history, context)
        except IodineKitError as error:  # the matrix itself is wrong
            walks, stages, mistakes = [], [], [*mistakes, error]
    else:
        walks = [Walk(tables, context)]
        stages = [_checked(step, walks[0], history) for step in walks[0].steps.values()]
    free = shutil.disk_usage(_existing(context.store.root)).free
    notes = dict.fromkeys(note for walk in walks for note in walk.notes)
    found = PipelineCheck(tuple(stages), (), tuple(notes), free, available_bytes())
    problems = {str(one): one for one in (*mistakes, *(one for walk in walks for one in walk.problems))}
    return replace(found, problems=(*problems.values(), *_too_large(found, context.store.root)))


def _walk_members(members: Sequence[Member], history: History, context: Context) -> tuple[list[Walk], list[StageCheck]]:
    """Walk through the members of a matrix; a stage that several of them share counts once."""
    nodes = build_graph(members)
    walks: dict[Member, Walk] = {}
    prepared: dict[Node, Walk] = {}
    for member in members:
        node = next(one for one in nodes if one.role == "dataset" and member in one.members)
        again = {one.role: one.again for one in nodes if member in one.members}
        walks[member] = Walk(member.tables, context, prepared.get(node), again)
        prepared.setdefault(node, walks[member])
    checked = []
    for node in nodes:
        walk = walks[node.members[0]]
        checked.append(replace(_checked(walk.steps[node.role], walk, history), members=node.names))
    return list(walks.values()), checked


def _checked(step: Step, walk: Walk, history: History) -> StageCheck:
    if step.status == "fresh":
        return StageCheck(step.role, "fresh", None)
    dataset = walk.steps["dataset"].artifact
    if step.artifact is None or dataset is None:
        return StageCheck(step.role, step.status, None)
    tables: dict[str, Any] = {}
    for earlier in walk.steps.values():
        tables |= earlier.artifact.config if earlier.artifact else {}
        if earlier is step:
            break
    trial = walk.trial
    size = trial.scene_bytes if trial else sum(file.bytes for file in dataset.manifest.files.values())
    facts = DatasetFacts.of(dataset)
    scene_bytes = size if trial else size / max(sum(facts.splits.values()), 1)
    situation = Situation(tables, facts, scene_bytes, execution=step.execution)
    tried = (trial.records, trial.seconds) if trial else (0, 0.0)
    return StageCheck(step.role, step.status, estimate(step.role, situation, history, tried))


def _too_large(found: PipelineCheck, root: Path) -> list[IodineKitError]:
    """What the machine is too small for."""
    problems: list[IodineKitError] = []
    if found.disk > found.free_bytes:
        problems.append(
            StorageError(
                f"{root}: the artifacts need about {byte_size(found.disk)}, but {byte_size(found.free_bytes)} are "
                "free; free disk space, or choose a store on another disk with --store"
            )
        )
    for stage in found.stages:
        if stage.estimate and found.available_bytes is not None and stage.estimate.memory > found.available_bytes:
            remedy = _LOWER.get(stage.stage, "end other programs")
            problems.append(
                MemoryLimitError(
                    f"{stage.stage}: about {byte_size(stage.estimate.memory)} of memory are needed, but "
                    f"{byte_size(found.available_bytes)} are available; {remedy}"
                )
            )
    return problems


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())
