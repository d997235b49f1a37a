"""One artifact to be made: what it will be, and how to make it; and the one place that decides whether it must be."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import iodine_kit
from iodine_kit.config import differences
from iodine_kit.errors import ResumeError
from iodine_kit.progress import Reporter
from iodine_kit.store import Artifact, Identity, Store, contents
from iodine_kit.store.provenance import provenance
from iodine_kit.training.distributed import World

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
    pending = _interrupted(store, job) if job.state and not overwrite else None
    existing = None if overwrite or (pending and resume != "never") else store.find(job.identity)
    if existing is not None:
        reporter.note(f"up to date: {existing.path}")
        store.touch(existing)
        return store.usable(existing)
    going_on = bool(job.state) and not overwrite and _may_resume(store, job, pending, reporter, resume)
    started = datetime.now(UTC)
    with store.draft(job.identity, keep=job.state, fresh=not going_on) as draft:
        facts = job.make(draft.path)
        return draft.commit(facts, provenance(started))


def _interrupted(store: Store, job: Job) -> Identity | None:
    """What an interrupted draft of the same key was to become."""
    drafts = (identity for _, identity in store.interrupted(job.identity.kind))
    return next((identity for identity in drafts if identity.key == job.identity.key), None)


def _may_resume(store: Store, job: Job, pending: Identity | None, reporter: Reporter, resume: Resume) -> bool:
    """Whether to go on with what lies there; raises :class:`ResumeError` where that would mix or lose something."""
    name = job.identity.planned.directory
    if pending and resume == "never":
        raise ResumeError(f"an interrupted {name} is there: add --resume or --overwrite")
    if pending and contents(pending.inputs) != contents(job.identity.inputs):
        raise ResumeError(f"the interrupted {name} was begun on data that was made anew since: add --overwrite")
    if resume == "require" and not pending:
        _refuse_another_configuration(store, job)
        reporter.note("nothing to resume: starting at the beginning")
    return pending is not None


def _refuse_another_configuration(store: Store, job: Job) -> None:
    similar = [i for _, i in store.interrupted(job.identity.kind) if i.name == job.identity.name]
    if similar:
        changed = "; ".join(differences(similar[-1].config, job.identity.config))
        changed = changed or "other data, weights to start from, or code"
        raise ResumeError(
            f"the interrupted {similar[-1].planned.directory} has another configuration ({changed}); "
            "to begin this one beside it, leave --resume out, or give --auto-resume instead"
        )


MAKE = b"make"
KEEP = b"keep"


def agree(world: World, job: Job, execution: Mapping[str, Any]) -> None:
    """Compare what the ranks are about to do: code, configuration with its ``execution``, and inputs.

    Raises:
        ConfigError: on all ranks, naming what differs first.
    """
    identity = job.identity
    code = {"iodine-kit": iodine_kit.__version__, "torch": version("torch"), identity.stage: identity.version}
    world.agree("version of the code", {**code, **identity.plugins})
    world.agree("configuration", {**identity.config, "execution": execution})
    inputs = {role: f"{made.directory} {made.content[:12]}" for role, made in identity.inputs.items()}
    files = {source.name: f"sha256 {source.sha256[:12]}" for source in identity.sources}
    world.agree("input", {**inputs, **files})


def obtain_jointly(
    store: Store, job: Job, world: World, reporter: Reporter, *, overwrite: bool = False, resume: Resume = "never"
) -> Artifact | None:
    """As :func:`iodine_kit.runner.obtain`, on every rank at once; the artifact on the first, else ``None``.

    Whether anything has to be made, and from which state, is for the first rank to say: the others need no store but
    for their input.
    """
    if not world.first:
        if world.share(b"") == MAKE:
            with tempfile.TemporaryDirectory(prefix="iodine-kit-") as nothing:
                job.make(Path(nothing))
        return None
    told = False

    def make(out: Path) -> Facts:
        nonlocal told
        told = True
        world.share(MAKE)
        return job.make(out)

    artifact = obtain(store, replace(job, make=make), reporter, overwrite=overwrite, resume=resume)
    if not told:
        world.share(KEEP)
    return artifact
