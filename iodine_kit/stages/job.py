"""One artifact to be made: what it will be, and how to make it; and the one place that decides whether it must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from iodine_kit.config import differences
from iodine_kit.errors import ResumeError
from iodine_kit.progress import Reporter
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.store.provenance import provenance

Resume = Literal["never", "require", "auto"]
Facts = Mapping[str, Any]
Tables = Mapping[str, Mapping[str, Any]]
"""Configuration as it comes from files and the command line: table → key → value."""


@dataclass(frozen=True)
class Job:
    """An artifact's identity and the function that fills its directory and returns facts.

    A job that can go on after an interruption names the file, by pattern, in which it keeps its ``state``.
    """

    identity: Identity
    make: Callable[[Path], Facts]
    state: str = ""


def obtain(
    store: Store, job: Job, reporter: Reporter, *, overwrite: bool = False, resume: Resume = "never"
) -> Artifact:
    """Return the job's artifact, made now unless it is there already.

    Raises:
        ResumeError: if an interrupted run would be lost, or the one to resume has another configuration.
    """
    existing = None if overwrite else store.find(job.identity)
    if existing is not None:
        reporter.note(f"up to date: {existing.path}")
        store.touch(existing)
        return existing
    going_on = bool(job.state) and not overwrite and _may_resume(store, job, reporter, resume)
    started = datetime.now(UTC)
    with store.draft(job.identity, keep=job.state, fresh=not going_on) as draft:
        facts = job.make(draft.path)
        return draft.commit(facts, provenance(started))


def _may_resume(store: Store, job: Job, reporter: Reporter, resume: Resume) -> bool:
    interrupted = store.interrupted(job.identity.kind)
    same = [path for path, identity in interrupted if identity.key == job.identity.key]
    if resume == "never" and same:
        raise ResumeError(f"{same[0]} holds an interrupted run of this configuration: add --resume or --overwrite")
    if resume == "require" and not same:
        similar = [identity for _, identity in interrupted if identity.name == job.identity.name]
        if similar:
            changed = "; ".join(differences(similar[-1].config, job.identity.config)) or "other data or code"
            raise ResumeError(f"the interrupted run {similar[-1].name} has another configuration ({changed})")
        reporter.note("nothing to resume: starting at the beginning")
    return bool(same)
