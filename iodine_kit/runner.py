"""Stages and their jobs: what a stage offers, what it works with, and the one place that decides whether to run it."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import iodine_kit
from iodine_kit.addresses import this_command
from iodine_kit.config import differences
from iodine_kit.engines import IN_THIS_PROCESS, EngineConfig
from iodine_kit.errors import ResumeError
from iodine_kit.progress import Reporter, Silent
from iodine_kit.source_code import PACKAGE, changed_files, code_of
from iodine_kit.store import Artifact, Identity, Store, input_contents
from iodine_kit.store.artifact import CODE, draft_identity
from iodine_kit.store.made import begun_by
from iodine_kit.store.provenance import provenance
from iodine_kit.training.distributed import SINGLE_PROCESS, World

FactValues = Mapping[str, Any]
"""Facts of an artifact as a stage returns them; see :class:`iodine_kit.store.ArtifactFacts`."""
Tables = Mapping[str, Mapping[str, Any]]
"""Configuration as it comes from files and the command line: table → key → value."""
Inputs = Mapping[str, Artifact]
"""The artifacts that a stage works on, by role: ``dataset``, ``run``, ``predictions``, …"""
_MAKE, _KEEP = b"make", b"keep"
FEW_FILES = 3
"""Names of files in a message; a longer list is cut."""
FEW_SETTINGS = 3
"""An artifact that differs in more settings is not an earlier version of the one to make."""


@dataclass(frozen=True)
class Context:
    """Where a stage works and who listens. Nothing here changes an artifact's key.

    Attributes:
        store: holds the artifacts; new ones are added to it.
        reporter: receives notes and progress.
        overwrite: rebuild the artifact even if it is up to date, and discard an interrupted run.
        download: allow downloads while a job is planned.
        again: the option that makes an artifact again, for messages.
        purpose: what the artifact is made for, such as ``study seeds``; recorded in its manifest. Commands never choose
            an artifact that has a purpose as the most recent one.
        world: the ranks of a distributed run.
        engine: where the units of a stage are made.
    """

    store: Store
    reporter: Reporter = field(default_factory=Silent)
    overwrite: bool = False
    download: bool = True
    again: str = "--overwrite"
    purpose: str = ""
    world: World = SINGLE_PROCESS
    engine: EngineConfig = IN_THIS_PROCESS


@dataclass(frozen=True)
class Job:
    """An artifact that could be made: its identity, and the function that fills its directory and returns its facts.

    A job that can resume after an interruption names, as a pattern, the files that keep its ``state``. If its work is
    ``cheap``, it starts again without asking when its data was rebuilt meanwhile. ``module`` is the full name of the
    module whose code makes the artifact; it defaults to that of ``make``.
    """

    identity: Identity
    make: Callable[[Path], FactValues]
    state: str = ""
    module: str = ""
    cheap: bool = False

    def __post_init__(self) -> None:
        if not self.module:
            make = self.make.func if isinstance(self.make, partial) else self.make
            object.__setattr__(self, "module", make.__module__)


class Stage(Protocol):
    """What a module of :mod:`iodine_kit.stages` offers to pipelines, commands and the Python interface."""

    VERSION: int
    """Raised whenever the same configuration and inputs would give another result."""

    @property
    def TABLES(self) -> Sequence[str]:  # noqa: N802
        """The tables of a configuration that it reads."""

    @property
    def INPUTS(self) -> Sequence[str]:  # noqa: N802
        """Roles of the artifacts that it cannot do without."""

    def configure(self, tables: Tables) -> Any:
        """Validate the tables; raises :class:`ConfigError` for an unknown key or a wrong value."""

    def plan(self, tables: Tables, inputs: Inputs, context: Context) -> Job:
        """Resolve the configuration and check everything that can be checked before the work begins."""


def run_stage(stage: Stage, tables: Tables, inputs: Inputs, context: Context) -> Artifact:
    """Plan a stage and return its artifact, made now unless it is up to date."""
    return obtain(stage.plan(tables, inputs, context), context)


class _ChangedMeanwhile(Exception):  # noqa: N818 - no error: it only leaves the lock of a draft
    """Another process finished or interrupted the artifact after this one had decided what to do."""


def obtain(job: Job, context: Context) -> Artifact:
    """Return the job's artifact: the one in the store if it is up to date, else a new one.

    An interrupted run of the same configuration resumes, unless ``context.overwrite`` is set; it also does if it was
    going to replace a finished one.

    Raises:
        ResumeError: if the data that an interrupted run was started on has been rebuilt since, unless ``job.cheap``.
    """
    try:
        return _obtain(job, context)
    except _ChangedMeanwhile:
        return _obtain(job, context, look_again=False)


def _obtain(job: Job, context: Context, *, look_again: bool = True) -> Artifact:
    store, note = context.store, context.reporter.note
    pending = find_interrupted(job, context)
    existing = None if context.overwrite or pending else store.find(job.identity, context.again)
    if existing is not None:
        store.usable(existing, context.again)
        note(f"up to date: {existing.path}", routine=True)
        remark = other_code(job, existing, context.again)
        if remark:
            note(f"note: {existing.path} was {remark}", routine=True)
        return store.touch(existing, context.purpose)
    if pending:
        note(f"resuming the interrupted {job.identity.planned.directory} ({context.again} starts it again)")
    elif job.state and not context.overwrite:
        _note_similar_draft(job, context)
    started = datetime.now(UTC)

    def begin(directory: Path) -> None:
        if context.overwrite or not look_again:
            return  # what is there does not count, and may be damaged
        there = draft_identity(directory)
        resumes = bool(job.state) and there is not None and _is_same(there, job.identity)
        finished = pending is None and store.find(job.identity) is not None
        if resumes != bool(pending) or finished:
            raise _ChangedMeanwhile

    with store.draft(job.identity, keep=job.state, fresh=pending is None, begin=begin) as draft:
        code = _begin_or_resume(job, draft.path, context, resumes=pending is not None)
        facts = job.make(draft.path)
        return draft.commit(facts, {**provenance(started, context.purpose), "code": code})


def _begin_or_resume(job: Job, directory: Path, context: Context, *, resumes: bool) -> dict[str, Any]:
    """Record in a draft which code makes it, and return that.

    If other code began the draft, the files that differ have the hash "": the artifact is made by no one code, and
    :func:`other_code` says so for ever. A draft of an earlier version of iodine-kit does not say which code began it.
    """
    code, path = code_of(job.module, job.identity.plugins), directory / CODE
    begun = begun_by(path) if resumes else {}
    if resumes and not begun:
        return code
    changed = changed_files(begun, job.module, job.identity.plugins)
    if changed:
        context.reporter.note(
            f"note: other code began it: {_listed(changed)} changed since; {context.again} makes it again", routine=True
        )
        code = {"sha256": "", "files": {**code["files"], **dict.fromkeys(changed, "")}}
    temporary = path.with_suffix(".tmp")
    entries = {"python": platform.python_version(), "command": this_command(), "code": code}
    temporary.write_text(json.dumps(entries), "utf-8")
    temporary.replace(path)
    return code


def obtain_distributed(job: Job, context: Context) -> Artifact | None:
    """As :func:`obtain`, on every rank of ``context.world`` at once; the artifact on the first, else ``None``.

    The first rank decides whether anything has to be made, and from which state. The others take part in the work and
    write nothing; they need no store except for their input.
    """
    world = context.world
    if not world.first:
        if world.share(b"") == _MAKE:
            with tempfile.TemporaryDirectory(prefix="iodine-kit-") as scratch:
                job.make(Path(scratch))
        return None
    shared = False

    def make(out: Path) -> FactValues:
        nonlocal shared
        shared = True
        world.share(_MAKE)
        return job.make(out)

    artifact = obtain(replace(job, make=make), context)
    if not shared:
        world.share(_KEEP)
    return artifact


def agree(world: World, job: Job, execution: Mapping[str, Any]) -> None:
    """Check that all ranks run the same code, configuration (with its ``execution``) and inputs.

    Raises:
        ConfigError: on all ranks, naming the first difference.
    """
    identity = job.identity
    code = {"iodine-kit": iodine_kit.__version__, "torch": version("torch"), identity.stage: identity.version}
    world.agree("version of the code", {**code, **identity.plugins})
    world.agree("configuration", {**identity.config, "execution": execution})
    inputs = {role: f"{made.directory} {made.content[:12]}" for role, made in identity.inputs.items()}
    files = {source.name: f"sha256 {source.sha256[:12]}" for source in identity.sources}
    world.agree("input", {**inputs, **files})


def find_interrupted(job: Job, context: Context) -> Identity | None:
    """The identity of the interrupted run that the job would resume; ``None`` if it would start or reuse one.

    Raises:
        ResumeError: as :func:`obtain`.
    """
    if not job.state or context.overwrite:
        return None
    drafts = (identity for _, identity in context.store.interrupted(job.identity.kind))
    pending = next((identity for identity in drafts if identity.key == job.identity.key), None)
    if pending and not _is_same(pending, job.identity):
        if job.cheap or context.store.find(job.identity) is not None:
            return None
        raise ResumeError(
            f"the interrupted {pending.planned.directory} was started on data that has been rebuilt since: add "
            f"{context.again} to start it again"
        )
    return pending


def other_code(job: Job, artifact: Artifact, again: str) -> str:
    """Whether other code than today's made an artifact, as the end of a sentence that names the remedy ``again``."""
    changed = changed_files(artifact.manifest.made, job.module, job.identity.plugins)
    if not changed:
        return ""
    return f"made by other code: {_listed(changed)} changed since; {again} makes it again"


def _listed(changed: Sequence[str]) -> str:
    shown = ", ".join(name.removeprefix(f"{PACKAGE}.") for name in changed[:FEW_FILES])
    return f"{shown} and {len(changed) - FEW_FILES} more" if len(changed) > FEW_FILES else shown


def _note_similar_draft(job: Job, context: Context) -> None:
    """Name the interrupted run that this one does not resume, if they differ in their data or in a few settings."""
    identity = job.identity
    drafts = [draft for _, draft in context.store.interrupted(identity.kind) if draft.name == identity.name]
    if not drafts:
        return
    rebuilt = [made for draft in drafts if draft.key == identity.key for made in _differing(draft, identity)]
    if rebuilt:
        note = f"starts again, because {', '.join(rebuilt)} was rebuilt"
        context.reporter.note(f"note: the interrupted {identity.planned.directory} {note}", routine=True)
        return
    changed = differences(drafts[-1].config, identity.config)
    other = _differing(drafts[-1], identity)
    if len(changed) > FEW_SETTINGS or (changed and other):
        return
    difference = "; ".join(changed) or ("it works on " + ", ".join(other) if other else "another version of the code")
    name = drafts[-1].planned.directory
    context.reporter.note(
        f"note: the interrupted {name} is not resumed ({difference}); this run starts beside it", routine=True
    )


def _is_same(draft: Identity, identity: Identity) -> bool:
    """Whether a draft is of this artifact, and of inputs with the same content."""
    return draft.key == identity.key and input_contents(draft.inputs) == input_contents(identity.inputs)


def _differing(draft: Identity, identity: Identity) -> list[str]:
    """The inputs of a draft that another identity does not have, or has with other content."""
    return [made.directory for role, made in draft.inputs.items() if made != identity.inputs.get(role)]
