"""Bring the members of a matrix up to date side by side, each in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from iodine_kit.config import Values
from iodine_kit.errors import ArtifactNotFoundError, IodineKitError
from iodine_kit.pipeline.child import Child
from iodine_kit.pipeline.execution import Made, describe, obtain_node
from iodine_kit.pipeline.graph import Node, Selection
from iodine_kit.pipeline.matrix import Member
from iodine_kit.pipeline.plan import plan_node
from iodine_kit.progress import Silent
from iodine_kit.runner import Context
from iodine_kit.system import usable_cores

_GPU_DRIVER = Path("/dev/nvidiactl")
"""Without it PyTorch, which takes seconds to load, need not be asked for GPUs."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Stages that the same members share, in order; one process makes them.

    Attributes:
        label: the members, for people.
    """

    label: str
    members: tuple[Member, ...]
    nodes: Sequence[Node]

    @property
    def roles(self) -> list[str]:
        """The roles of its stages."""
        return [node.role for node in self.nodes]

    def inputs(self) -> Iterator[Node]:
        """The stages of other segments that it needs."""
        return (one for node in self.nodes for one in node.inputs.values() if one not in self.nodes)


def segments(nodes: Sequence[Node], selection: Selection) -> list[Segment]:
    """The selected stages by the members that share them; those of more members are inputs of those of fewer."""
    groups: dict[tuple[Member, ...], list[Node]] = {}
    for node in (one for one in nodes if one.role in selection.roles):
        groups.setdefault(node.members, []).append(node)
    return [Segment(describe(group[0], nodes), members, group) for members, group in groups.items()]


@dataclass(frozen=True)
class Command:
    """How a process is started: the ``place`` of the pipeline file, its ``tables``, and the arguments for a segment."""

    place: str
    tables: Mapping[str, Values]
    arguments: Callable[[Segment], list[str]]


class SideBySide:
    """Segments in processes, up to ``jobs`` at a time."""

    def __init__(
        self, nodes: Sequence[Node], context: Context, selection: Selection, jobs: int, command: Command
    ) -> None:
        self.made: Made = {}
        self.failed: dict[Member, IodineKitError] = {}
        self._nodes, self._context, self._selection, self._command = nodes, context, selection, command
        self._waiting = segments(nodes, selection)
        self._running: dict[Segment, Child] = {}
        self._lines: SimpleQueue[tuple[Segment, str | None]] = SimpleQueue()
        jobs = min(jobs, len(self._waiting))
        self._slots: dict[int, Segment | None] = dict.fromkeys(range(jobs))
        self._environment = environments(jobs, _names_a_gpu(nodes))

    def run(self) -> tuple[Made, dict[Member, IodineKitError]]:
        """Make everything; returns as :func:`iodine_kit.pipeline.run_members` does.

        Raises:
            KeyboardInterrupt: after an interruption, when all processes have saved their state and ended.
        """
        try:
            self._find_inputs()
            self._start()
            while self._running:
                self._receive()
                self._start()
        except KeyboardInterrupt:
            self._stop()
            raise KeyboardInterrupt("all members stopped; repeat the command to resume") from None
        except BaseException:
            self._stop()
            raise
        return self.made, self.failed

    def _find_inputs(self) -> None:
        """Stages that are needed and not selected are up to date, or their members fail."""
        for node in self._nodes:
            if node.role in self._selection.needed and node.role not in self._selection.roles:
                self._find(node)

    def _start(self) -> None:
        """Start every segment whose inputs are made, while a slot is free; one that is up to date needs no process."""
        while any(self._advance(segment) for segment in list(self._waiting)):
            pass

    def _advance(self, segment: Segment) -> bool:
        """Start a segment, or settle it without a process; ``False`` if it has to wait."""
        slot = next((number for number, one in self._slots.items() if one is None), None)
        if all(member in self.failed for member in segment.members):
            self._waiting.remove(segment)
            return True
        if slot is None or any(node not in self.made for node in segment.inputs()):
            return False
        self._waiting.remove(segment)
        if not self._is_fresh(segment):
            self._slots[slot] = segment
            self._running[segment] = self._child(segment, self._environment[slot])
        return True

    def _child(self, segment: Segment, environment: Mapping[str, str]) -> Child:
        arguments = self._command.arguments(segment)
        note = partial(self._put, segment)
        return Child(arguments, self._command.place, self._command.tables, environment, note)

    def _put(self, segment: Segment, line: str | None) -> None:
        self._lines.put((segment, line))

    def _receive(self) -> None:
        """Show a line of a process, or collect what it has made when it has ended."""
        segment, line = self._lines.get()
        if line is not None:
            shown = line.removeprefix(f"{segment.label}: ").removeprefix(f"all {segment.label}: ")
            self._context.reporter.note(f"{segment.label} | {shown}")
            return
        failed = self._running.pop(segment).wait()
        self._slots = {number: None if one is segment else one for number, one in self._slots.items()}
        for member in segment.members:
            error = failed.get(member.name) or failed.get("")
            if error:
                self.failed.setdefault(member, error)
        for node in segment.nodes:
            self._find(node, required=not failed)

    def _is_fresh(self, segment: Segment) -> bool:
        """Whether all artifacts of a segment are up to date; they are in ``made`` then."""
        found: Made = {}
        quiet = replace(self._context, reporter=Silent())
        try:
            for node in segment.nodes:
                planned, artifact = plan_node(node, self.made | found, quiet, self._selection)
                if artifact is None or planned.status != "fresh":
                    return False
                found[node] = self._context.store.usable(artifact)
        except IodineKitError:  # damage, or a mistake: the process will print it
            return False
        for node, artifact in found.items():
            self._context.reporter.note(f"{segment.label} | up to date: {artifact.path}", routine=True)
            self.made[node] = self._context.store.touch(artifact)
        return True

    def _find(self, node: Node, required: bool = True) -> None:
        """Add the finished artifact of a stage to ``made``; if it is ``required`` and missing, its members fail."""
        if any(one not in self.made for one in node.inputs.values()):
            return
        quiet = replace(self._context, reporter=Silent(), overwrite=False)
        try:
            self.made[node] = obtain_node(node, self.made, quiet, replace(self._selection, roles=()))
        except ArtifactNotFoundError as error:
            if required:
                self.failed |= {member: error for member in node.members if member not in self.failed}
        except IodineKitError as error:
            self.failed |= {member: error for member in node.members if member not in self.failed}

    def _stop(self) -> None:
        """Ask all processes to save their state and end, and wait for them; a second interruption kills them."""
        for child in self._running.values():
            child.stop()
        try:
            while self._running:
                segment, line = self._lines.get()
                if line is None:
                    self._running.pop(segment).wait()
                else:
                    self._context.reporter.note(f"{segment.label} | {line}")
        except KeyboardInterrupt:
            for child in self._running.values():
                child.stop(signal.SIGKILL)
            raise


def environments(jobs: int, names_a_gpu: bool) -> list[dict[str, str]]:
    """Variables for each of so many processes: its share of the CPU cores, and a GPU if there are several.

    What the user has set stays as it is.
    """
    shared = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, usable_cores() // max(jobs, 1)))}
    gpus = [] if names_a_gpu or jobs < 2 else _gpus()
    if len(gpus) < 2:
        return [shared] * jobs
    return [{**shared, "CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} for slot in range(jobs)]


def _gpus() -> list[str]:
    """The names by which ``CUDA_VISIBLE_DEVICES`` selects the GPUs that this process sees."""
    if not _GPU_DRIVER.exists():
        return []
    from iodine_kit.tensors import count_gpus

    count, chosen = count_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [name.strip() for name in chosen.split(",")][:count] if chosen else [str(place) for place in range(count)]


def _names_a_gpu(nodes: Sequence[Node]) -> bool:
    """Whether a member chooses a GPU by its number, as in ``train.device=cuda:1``."""
    tables = [node.tables for node in nodes]
    return any(":" in str(table.get("device", "")) for one in tables for table in one.values())
