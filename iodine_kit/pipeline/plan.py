"""The status of each stage of a pipeline: what a run would make, and why. Makes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from iodine_kit.config import Values, differences
from iodine_kit.errors import ArtifactCorruptError, SourceError
from iodine_kit.pipeline.file import COMMANDS, STAGES, check
from iodine_kit.pipeline.graph import Node, Selection, build_graph, select
from iodine_kit.pipeline.matrix import Member
from iodine_kit.runner import FEW_SETTINGS, Context, Job, find_interrupted, other_code
from iodine_kit.store import Artifact
from iodine_kit.store.remedies import refuse_damaged


@dataclass(frozen=True)
class Planned:
    """A stage of a plan.

    Attributes:
        stage: the role that it makes; ``comparison`` for the comparison of the members of a matrix.
        status: ``fresh``, ``interrupted``, ``missing``, ``stale``, ``waiting`` or ``damaged``.
        because: the reason.
        members: names of the members of a matrix that share it; empty without a matrix.
        artifact: the path of the artifact, whether it is made or not; "" if it depends on inputs that are not made.
        key: the artifact key; "" as for ``artifact``.
        made_by: that other code than today's made the artifact, what changed, and the way out; "" if it is the same.
        job: what makes the artifact; ``None`` as for ``artifact``.
        problem: why the artifact cannot be used and what to do, if it is damaged: a run ends with this error.
    """

    stage: str
    status: str
    because: str
    members: tuple[str, ...] = ()
    artifact: str = ""
    key: str = ""
    made_by: str = ""
    job: Job | None = None
    problem: ArtifactCorruptError | None = None

    def as_json(self) -> dict[str, Any]:
        """The facts in JSON types; without empty ones."""
        command = COMMANDS.get(self.stage, "compare")
        facts = {
            "members": list(self.members), "stage": command, "command": command,
            "role": self.stage, "status": self.status, "because": self.because,
            "artifact": self.artifact, "key": self.key, "made_by": self.made_by,
        }  # fmt: skip
        return {name: value for name, value in facts.items() if value}


def plan(tables: Mapping[str, Values], context: Context) -> list[Planned]:
    """List every stage of a pipeline without a matrix, whether it would run, and why. Runs nothing."""
    check(tables)
    nodes = build_graph([Member("", {}, dict(tables))])
    return plan_graph(nodes, context, select(tables))


def plan_graph(nodes: Sequence[Node], context: Context, selection: Selection) -> list[Planned]:
    """List the selected stages of all members, each shared one once, whether it would run, and why. Runs nothing."""
    return list(each_planned(nodes, context, selection))


def each_planned(nodes: Sequence[Node], context: Context, selection: Selection) -> Iterator[Planned]:
    """Yield what :func:`plan_graph` lists; a stage is planned when it is asked for."""
    context = replace(context, download=False)
    fresh: dict[Node, Artifact] = {}
    blocked: dict[Node, Node] = {}
    for node in (one for one in nodes if one.role in selection.needed):
        blocker = next((blocked[one] for one in node.inputs.values() if one in blocked), None)
        if blocker:
            blocked[node] = blocker
            yield Planned(node.role, "waiting", f"for {blocker.role}", node.names)
            continue
        stage, artifact = plan_node(node, fresh, context, selection)
        if artifact is not None and stage.status == "fresh":
            fresh[node] = artifact
        else:
            blocked[node] = node
        yield stage


def plan_job(node: Node, made: Mapping[Node, Artifact], context: Context) -> Job:
    """The job of a stage whose inputs are made."""
    return STAGES[node.role].plan(node.tables, {role: made[one] for role, one in node.inputs.items()}, context)


def plan_node(
    node: Node, made: Mapping[Node, Artifact], context: Context, selection: Selection
) -> tuple[Planned, Artifact | None]:
    """The status of a stage whose inputs are made, and its artifact if there is one."""
    try:
        job = plan_job(node, made, replace(context, overwrite=False))
    except SourceError as error:
        return Planned(node.role, "missing", str(error), node.names), None
    overwrite = node.role in selection.roles and (context.overwrite or node.role in selection.force)
    path, again = str(context.store.root / job.identity.planned.directory), node.again
    planned = Planned(node.role, "", "", node.names, path, job.identity.key, job=job)
    try:
        artifact = context.store.find(job.identity, again)
        status, because = _status(node, job, artifact, replace(context, overwrite=overwrite, again=again))
        if artifact and status == "fresh":
            refuse_damaged(artifact, again=again)
    except ArtifactCorruptError as error:
        if overwrite:
            return replace(planned, status="stale", because="it is damaged, and is to be overwritten"), None
        return replace(planned, status="damaged", because=path, problem=error), None
    made_by = other_code(job, artifact, again) if artifact and status == "fresh" else ""
    return replace(planned, status=status, because=because, made_by=made_by), artifact


def _status(node: Node, job: Job, artifact: Artifact | None, context: Context) -> tuple[str, str]:
    if find_interrupted(job, context):
        return "interrupted", "resumes where it stopped"
    if artifact is not None and context.overwrite:
        return "stale", "it is to be overwritten"
    if artifact is not None:
        return "fresh", str(artifact.path)
    older = [a for a in context.store.artifacts(job.identity.kind) if a.manifest.identity.name == job.identity.name]
    if not older:
        return "missing", "not made yet"
    nearest = min(reversed(older), key=lambda one: len(differences(one.config, job.identity.config)))
    changed = differences(nearest.config, job.identity.config)
    if not changed:  # in a matrix, the nearest one may be that of another member
        is_there = not node.names or context.store.load(job.identity.planned) is not None
        return ("stale", "its inputs or its code changed") if is_there else ("missing", "not made yet")
    return _compared(node, nearest, changed)


def _compared(node: Node, nearest: Artifact, changed: Sequence[str]) -> tuple[str, str]:
    """The status beside the most similar artifact of the same name, which may have nothing to do with the pipeline."""
    if node.role != "dataset" and len(changed) <= FEW_SETTINGS and not _is_of_other_member(node, changed):
        return "stale", "; ".join(changed)
    more = len(changed) - FEW_SETTINGS
    shown = "; ".join(changed[:FEW_SETTINGS]) + (f"; and {more} more" if more > 0 else "")
    return "missing", f"not made yet; the nearest is {nearest.path} ({shown})"


def _is_of_other_member(node: Node, changed: Sequence[str]) -> bool:
    """Whether settings differ as those of two members of the matrix do."""
    keys = tuple(f"{key}." for key in node.members[0].settings)
    return all(f"{one.partition(':')[0]}.".startswith(keys) for one in changed)
