"""The comparison of all members of a matrix, and its report. Both take seconds: a damaged one is made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from iodine_kit.errors import ArtifactCorruptError, ConfigError, SchemaError
from iodine_kit.pipeline.graph import Node, Selection
from iodine_kit.pipeline.matrix import Member
from iodine_kit.pipeline.plan import Planned
from iodine_kit.pipeline.summary import Result, collect
from iodine_kit.progress import Silent
from iodine_kit.runner import Context, Job, obtain
from iodine_kit.stages import compare, report
from iodine_kit.store import Artifact, Store
from iodine_kit.store.artifact import load_artifact
from iodine_kit.store.manifest import NOT_LISTED, REBUILD
from iodine_kit.store.store import HASHED_ON_USE


def compare_members(
    results: Sequence[Result], selection: Selection, context: Context
) -> tuple[Artifact | None, Artifact | None]:
    """The comparison of all evaluations, and a report of it if reports are made; ``None`` for what cannot be made.

    Members that differ only in the seed of training are one model of the comparison. Both take seconds: a damaged one
    is made again.
    """
    chosen = _compared(results, selection)
    if not chosen:
        return None, None
    try:
        comparison = _obtain(_comparison(chosen, context), replace(context, overwrite=False))
    except (SchemaError, ConfigError) as error:
        context.reporter.note(f"note: no comparison of the members: {error}")
        return None, None
    if "report" not in selection.roles:
        return comparison, None
    again = context.overwrite or "report" in selection.force
    return comparison, _obtain(_report(chosen, comparison, context), replace(context, overwrite=again))


def plan_end(
    members: Sequence[Member], nodes: Sequence[Node], planned: Sequence[Planned], selection: Selection, context: Context
) -> list[Planned]:
    """The status of what :func:`compare_members` would make, if all evaluations are up to date. Makes nothing.

    Args:
        planned: the stages of all members, see :func:`iodine_kit.pipeline.plan.plan_graph`.
    """
    if any(one.status != "fresh" for one in planned if one.stage != "report"):
        return []
    needed = [node for node in nodes if node.role in selection.needed]
    loaded = {node: load_artifact(Path(one.artifact)) for node, one in zip(needed, planned, strict=True)}
    results = collect(members, needed, {node: one for node, one in loaded.items() if one}, {})
    chosen, names = _compared(results, selection), tuple(one.member.name for one in results)
    if not chosen:
        return []
    quiet = replace(context, reporter=Silent())
    try:
        stage, comparison = _status("comparison", _comparison(chosen, quiet), replace(quiet, overwrite=False), names)
    except (SchemaError, ConfigError):  # the run says why there is none
        return []
    if "report" not in selection.roles:
        return [stage]
    if comparison is None:
        return [stage, Planned("report", "waiting", "for comparison", names)]
    again = context.overwrite or "report" in selection.force
    job = _report(chosen, comparison, quiet)
    return [stage, _status("report", job, replace(quiet, overwrite=again), names)[0]]


def _compared(results: Sequence[Result], selection: Selection) -> list[Result]:
    """The members to compare; none if there are too few, or no evaluations are made."""
    distinct = {one.artifacts["evaluation"].manifest.key: one for one in reversed(results) if one.metrics}
    chosen = [one for one in results if one in distinct.values()]
    return chosen if len(chosen) >= compare.FEWEST and "evaluation" in selection.roles else []


def _comparison(chosen: Sequence[Result], context: Context) -> Job:
    return compare.plan({}, compare.numbered([one.artifacts["evaluation"] for one in chosen]), context)


def _report(chosen: Sequence[Result], comparison: Artifact, context: Context) -> Job:
    first = {role: one for role, one in chosen[0].artifacts.items() if role != "report"}
    chain = first | {"comparison": comparison}
    for place, one in enumerate(chosen[1:], start=2):
        chain |= {f"{role}-{place}": one.artifacts[role] for role in ("evaluation", "predictions")}
    return report.plan(chosen[0].member.tables, chain, context)


def _obtain(job: Job, context: Context) -> Artifact:
    problem = "" if context.overwrite else _damage(job, context.store)
    if problem:
        context.reporter.note(f"{context.store.place(job.identity.planned)}: {problem}; it is made again")
    return obtain(job, replace(context, overwrite=context.overwrite or bool(problem)))


def _status(role: str, job: Job, context: Context, names: tuple[str, ...]) -> tuple[Planned, Artifact | None]:
    """The status of a stage, and its artifact if it is fresh."""
    path = context.store.place(job.identity.planned)
    planned = Planned(role, "stale", "it is to be overwritten", names, str(path), job.identity.key, job=job)
    try:
        problem = _damage(job, context.store)
        found = None if problem else context.store.find(job.identity)
    except ArtifactCorruptError as error:
        return replace(planned, status="damaged", because=str(path), problem=error), None
    if problem:
        return replace(planned, because=f"it is damaged: {problem}"), None
    if found is None:
        return replace(planned, status="missing", because="not made yet"), None
    if context.overwrite:
        return planned, None
    return replace(planned, status="fresh", because=str(path)), found


def _damage(job: Job, store: Store) -> str:
    """Why an artifact cannot be used; "" if it is whole, or there is none.

    Raises:
        ArtifactCorruptError: if its folder has files that its manifest does not list. They may be the user's own, and
            to make it again would delete them. Also if its manifest cannot be read, for then nothing lists them.
    """
    try:
        artifact = store.find(job.identity)
    except ArtifactCorruptError as error:
        remedy = f"delete {store.place(job.identity.planned)}, and run the pipeline again"
        raise ArtifactCorruptError(f"{str(error).removesuffix(f'; {REBUILD}')}; {remedy}") from None
    problems = artifact.problems(hash_up_to=HASHED_ON_USE) if artifact else []
    if artifact and any(one.endswith(NOT_LISTED) for one in problems):
        store.usable(artifact)
    return "; ".join(problems)
