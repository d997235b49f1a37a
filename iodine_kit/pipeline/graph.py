"""What there is to make: the stages of all members, with each shared stage once, and a selection of them."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from iodine_kit.config import Config, Values, build
from iodine_kit.errors import ConfigError, did_you_mean
from iodine_kit.models import MODELS
from iodine_kit.pipeline.file import COMMANDS, OPTIONAL, STAGES, roles
from iodine_kit.pipeline.matrix import Member
from iodine_kit.stages import report, train
from iodine_kit.store.manifest import canonical_json


@dataclass(frozen=True, eq=False)
class Node:
    """A stage that one member or several members need.

    Attributes:
        role: of its artifact.
        members: those that share it; their tables agree in everything that shapes its artifact.
        inputs: the nodes of its inputs, by role.
        again: the options of ``run`` that make its artifact again, and no other of this role if not all members share
            it: artifacts of the others may have taken days.
    """

    role: str
    members: tuple[Member, ...]
    inputs: Mapping[str, Node] = field(repr=False)
    again: str

    @property
    def tables(self) -> dict[str, Values]:
        """The tables of its first member."""
        return self.members[0].tables

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its members; empty for a pipeline without a matrix."""
        return tuple(member.name for member in self.members if member.name)


@dataclass(frozen=True)
class Selection:
    """Which roles to make.

    Attributes:
        roles: to bring up to date, in order.
        force: of these, the roles to make again although they are up to date.
        needed: ``roles``, and the roles of their inputs, which must be up to date if they are not in ``roles``.
    """

    roles: tuple[str, ...]
    force: frozenset[str]
    needed: tuple[str, ...]


def select(
    tables: Mapping[str, Values], until: str | None = None, force: Sequence[str] = (), only: Sequence[str] = ()
) -> Selection:
    """Choose stages by the name of their command or of their role.

    Args:
        until: the last stage. Defaults to the last of the pipeline.
        force: stages to make again although they are up to date.
        only: the only stages to make; their inputs must be up to date. Defaults to all stages.

    Raises:
        ConfigError: if there is no such stage, or the choices contradict each other.
    """
    every = roles(tables)
    if until and only:
        raise ConfigError("--until and --only exclude each other: give one of them")
    chosen = {_role(name, "--only", every) for name in only} or set(every)
    if until:
        chosen = set(every[: every.index(_role(until, "--until", every)) + 1])
    forced = {_role(name, "--force", every) for name in force}
    for role in sorted(forced - chosen):
        omitted = "--until ends before it" if until else "it is not among the stages of --only"
        raise ConfigError(f"--force {COMMANDS[role]}: this stage is not made, because {omitted}: omit one of the two")
    needed = {one for role in chosen for one in (role, *_ancestors(role, every))}
    return Selection(
        tuple(role for role in every if role in chosen),
        frozenset(forced),
        tuple(role for role in every if role in needed),
    )


def build_graph(members: Sequence[Member]) -> list[Node]:
    """The stages of all members; a stage comes after its inputs, and a shared one with the first of its members.

    Raises:
        ConfigError: if two members would make the same artifacts.
    """
    sharing: dict[str, list[Member]] = {}
    marks = {member: _marks(member) for member in members}
    for one in members:
        for mark in marks[one].values():
            sharing.setdefault(mark, []).append(one)
    _refuse_repetitions(members, marks)
    nodes: dict[str, Node] = {}
    for member in members:
        made = marks[member]
        for role, mark in made.items():
            if mark not in nodes:
                inputs = {one: nodes[made[one]] for one in _inputs(role, list(made))}
                nodes[mark] = Node(role, tuple(sharing[mark]), inputs, _again(role, sharing[mark], members))
    return list(nodes.values())


def _again(role: str, sharing: Sequence[Member], members: Sequence[Member]) -> str:
    name = "" if len(sharing) == len(members) > 1 else sharing[0].name
    return f"--force {COMMANDS[role]}" + (f" --member {shlex.quote(name)}" if name else "")


def _marks(member: Member) -> dict[str, str]:
    """Role → a hash of everything in the tables that shapes its artifact. Takes no store, unlike a key."""
    every, marks = roles(member.tables), dict[str, str]()
    for role in every:
        inputs = {one: marks[one] for one in _inputs(role, every)}
        shaping = {"role": role, "inputs": inputs, "settings": _shaping(role, member.tables)}
        marks[role] = hashlib.sha256(canonical_json(shaping)).hexdigest()
    return marks


def _shaping(role: str, tables: Mapping[str, Values]) -> Any:
    """The configuration of a stage, resolved, without settings that cannot change its result."""
    resolved = _plain(STAGES[role].configure(tables))
    if STAGES[role] is not train:
        return resolved
    values = dict(tables.get("model", {}))
    name = str(values.pop("name", "iodine"))
    model = build(MODELS.load(name).Config, values, "model")
    return [resolved, tables.get("train", {}).get("from"), name, _plain(model)]


def _plain(value: Any) -> Any:
    """A resolved configuration in JSON types, without the types that say how to execute it."""
    if isinstance(value, Config):
        return None if type(value).__name__.endswith("Execution") else value.model_dump(mode="json")
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | None) else type(value).__name__


def _inputs(role: str, every: Sequence[str]) -> Sequence[str]:
    """The roles of the inputs of a stage; a report is about everything before it."""
    return every[: every.index(role)] if STAGES[role] is report else STAGES[role].INPUTS


def _ancestors(role: str, every: Sequence[str]) -> set[str]:
    inputs = _inputs(role, every)
    return {*inputs, *(one for name in inputs for one in _ancestors(name, every))}


def _refuse_repetitions(members: Sequence[Member], marks: Mapping[Member, Mapping[str, str]]) -> None:
    first: dict[tuple[str, ...], Member] = {}
    for member in members:
        other = first.setdefault(tuple(marks[member].values()), member)
        if other is not member:
            differing = [key for key, value in member.settings.items() if value != other.settings[key]]
            raise ConfigError(
                f"the members {other.name} and {member.name} of the matrix have the same artifacts, because these "
                f"values of {', '.join(differing)} do not change any: omit one of them"
            )


def _role(name: str, option: str, every: Sequence[str]) -> str:
    """The role that a stage makes, by its command or its role."""
    known = {command: role for role, command in COMMANDS.items()} | {role: role for role in STAGES}
    if name not in known:
        raise ConfigError(f"{option} {name}: there is no such stage{did_you_mean(name, COMMANDS.values())}")
    role = known[name]
    if role not in every:
        raise ConfigError(f"{option} {name}: the pipeline has no such stage: add the table [{OPTIONAL[role]}] to it")
    return role
