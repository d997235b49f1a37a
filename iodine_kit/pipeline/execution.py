"""Bring the stages of a pipeline up to date, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from iodine_kit.config import Values
from iodine_kit.engines import ENGINES, IN_THIS_PROCESS
from iodine_kit.errors import ArtifactNotFoundError, IodineKitError
from iodine_kit.pipeline.file import COMMANDS, check
from iodine_kit.pipeline.graph import Node, Selection, build_graph, select
from iodine_kit.pipeline.matrix import Member
from iodine_kit.pipeline.plan import each_planned, plan_job
from iodine_kit.progress import Silent
from iodine_kit.runner import Context, obtain
from iodine_kit.stages import evaluate, infer, probe
from iodine_kit.store import Artifact

ON_ENGINES = ("dataset", "predictions", "evaluation", "probe")
"""Roles whose stages make units of work."""
Chain = dict[str, Artifact]
Planning = Callable[[], AbstractContextManager[object]]
Made = dict[Node, Artifact]


def run(tables: Mapping[str, Values], context: Context, planning: Planning = nullcontext) -> Chain:
    """Bring every artifact of a pipeline without a matrix up to date; an interrupted training run resumes.

    Args:
        planning: the planning of each stage happens in such a context; the work of the stage does not.
    """
    check(tables)
    nodes = build_graph([Member("", {}, dict(tables))])
    made: Made = {}
    for node in nodes:
        made[node] = obtain_node(node, made, context, select(tables), planning)
    return {node.role: artifact for node, artifact in made.items()}


def run_members(
    nodes: Sequence[Node], context: Context, selection: Selection
) -> tuple[Made, dict[Member, IodineKitError]]:
    """Bring the selected stages of all members up to date, one after the other.

    An error ends only the members that need the stage. Returns the artifacts, and the error of each member that failed.
    """
    made: Made = {}
    failed: dict[Member, IodineKitError] = {}
    for node in (one for one in nodes if one.role in selection.needed):
        if all(member in failed for member in node.members):
            continue
        if node.names and node.role in selection.roles:
            context.reporter.note(f"{describe(node, nodes)}: {COMMANDS[node.role]}")
        try:
            made[node] = obtain_node(node, made, context, selection)
        except IodineKitError as error:
            failed |= {member: error for member in node.members if member not in failed}
            if not any(node.names):
                break
            context.reporter.note(f"{describe(node, nodes)}: error: {error}")
    return made, failed


def try_engine(nodes: Sequence[Node], context: Context, selection: Selection) -> None:
    """Connect to the engine once before any stage runs, if a stage that uses it has to be made.

    Raises:
        ConfigError: as the engine does; without this it would do so after the stages before, such as days of training.
        SourceError: as for ``ConfigError``.
    """
    engine = context.engine
    if engine.name == IN_THIS_PROCESS.name and not engine.address:
        return
    if _uses_engine(nodes, context, selection):
        with ENGINES.load(engine.name).open(engine, context.store.root / "run" / "trial"):
            pass


def _uses_engine(nodes: Sequence[Node], context: Context, selection: Selection) -> bool:
    """Whether a stage that makes units has to be made; also if an error, which the run will report, hides it."""
    roles = [role for role in ON_ENGINES if role in selection.roles]
    planned = each_planned(nodes, replace(context, reporter=Silent()), selection)
    try:  # stages after the first one to make are not planned here: the run does it again
        return any(one.stage in roles and one.status != "fresh" for one in planned)
    except IodineKitError:
        return True


def describe(node: Node, nodes: Sequence[Node]) -> str:
    """The members of a node, for people: a name, or a number of members."""
    if len(node.names) == 1:
        return node.names[0]
    every = {name for one in nodes for name in one.names}
    return f"{'all ' if len(every) == len(node.names) else ''}{len(node.names)} members"


def obtain_node(
    node: Node, made: Mapping[Node, Artifact], context: Context, selection: Selection, planning: Planning = nullcontext
) -> Artifact:
    """The artifact of a stage: made now unless it is up to date; one that is not selected must be up to date.

    Raises:
        ArtifactNotFoundError: if it is not selected and not up to date.
    """
    selected = node.role in selection.roles
    overwrite = selected and (context.overwrite or node.role in selection.force)
    with planning():
        job = plan_job(node, made, replace(context, overwrite=overwrite))
    if selected:
        artifact = obtain(job, replace(context, overwrite=overwrite, again=node.again))
    else:
        command = COMMANDS[node.role]
        found = context.store.find(job.identity, node.again)
        if found is None:
            raise ArtifactNotFoundError(
                f"{context.store.root / job.identity.planned.directory}: this input is missing or out of date: make "
                f"it with --until {command}, or add --only {command}"
            )
        artifact = context.store.usable(found, node.again)
    if node.role == "dataset":
        for member in node.members:
            _check_masks(member.tables, artifact, selection)
    return artifact


def _check_masks(tables: Mapping[str, Values], dataset: Artifact, selection: Selection) -> None:
    """Refuse stages that need true masks for a split without: this must not show up after days of training."""
    split = infer.configure(tables)[0].split
    if "evaluation" in selection.needed:
        evaluate.check_masks(tables, dataset, split)
    if "probe" in selection.needed:
        probe.check_masks(dataset, split)
