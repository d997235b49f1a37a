"""One artifact made by several ranks: the first makes it, the others take part in the work and write nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import iodine_kit
from iodine_kit.progress import Reporter
from iodine_kit.stages.job import Facts, Job, Resume, obtain
from iodine_kit.store import Artifact, Store
from iodine_kit.training.distributed import World

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
    """As :func:`iodine_kit.stages.job.obtain`, on every rank at once; the artifact on the first, else ``None``.

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
