"""The artifacts of a store that a pipeline itself makes: what its commands work on if no input is named.

Only manifests are read. The source of a data set is hashed only if it is small; of a larger one the size is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from iodine_kit.config import Values, differences
from iodine_kit.errors import ArtifactCorruptError, IodineKitError
from iodine_kit.pipeline.file import MATRIX, OPTIONAL, STAGES
from iodine_kit.pipeline.matrix import Member, expand
from iodine_kit.runner import Context
from iodine_kit.stages import prepare
from iodine_kit.store import Artifact, Identity, Store

QUICKLY_READ = 64 << 20
"""Largest source, in bytes, that is read to identify it."""
Tables = Mapping[str, Values]


class Own(NamedTuple):
    """An artifact that a member of a pipeline makes.

    Attributes:
        member: its name; "" for the pipeline without its matrix.
        identity: of the artifact.
        artifact: the finished one; ``None`` if the store does not have it.
    """

    member: str
    identity: Identity
    artifact: Artifact | None


def own_artifacts(tables: Tables, role: str, store: Store) -> Iterator[Own]:
    """What a pipeline makes of ``role``, as far as the store has the inputs.

    First that of the pipeline without its matrix, which is what a command with ``--pipeline`` makes, then those of the
    members in their order. A pipeline file without the table ``[prepare]`` makes nothing by itself.

    Raises:
        ArtifactCorruptError: if one of them is damaged: another artifact must not be used in its place.
    """
    if "prepare" not in tables or OPTIONAL.get(role, "prepare") not in tables:
        return
    context = Context(store, download=False)
    base = {name: table for name, table in tables.items() if name != MATRIX}
    members = expand(tables, checked=False) if MATRIX in tables else []
    for member in (Member("", {}, base), *members):
        for dataset in _datasets(member.tables, context):
            try:
                yield from _chain(member, role, dataset, context)
            except ArtifactCorruptError:
                raise
            except IodineKitError:  # this data set does not suit
                continue


def first_difference(tables: Tables, artifact: Artifact, store: Store) -> str | None:
    """The first setting by which an artifact differs from what the pipeline makes, as ``"train.steps: 20 -> 400"``.

    Returns:
        ``None`` if it cannot be known, because an input is not in the store; "" if it is no setting, but a source,
        other code or another stage.
    """
    context = Context(store, download=False)
    try:
        chain = _lineage(artifact, store)
        for role in _roles_up_to(artifact.reference.kind):
            found = chain.get(role)
            changed = _changed(tables, role, chain, context) if found else []
            if changed or found is None:
                return changed[0] if changed else ""
    except (IodineKitError, KeyError):
        return None
    return ""


def _chain(member: Member, role: str, dataset: Artifact, context: Context) -> Iterator[Own]:
    made = {"dataset": dataset}
    if role == "dataset":
        yield Own(member.name, dataset.manifest.identity, dataset)
    for one in _roles_up_to(role)[1:]:
        inputs = {name: made[name] for name in STAGES[one].INPUTS}
        identity = STAGES[one].plan(member.tables, inputs, context).identity
        artifact = context.store.find(identity)
        if one == role:
            yield Own(member.name, identity, artifact)
        if artifact is None:
            return
        made[one] = artifact


def _roles_up_to(role: str) -> list[str]:
    """A role and those that it is made from, in order."""
    roles = list(STAGES)
    return [one for one in roles[: roles.index(role) + 1] if one == role or one in STAGES[role].INPUTS or one == "run"]


def _datasets(tables: Tables, context: Context) -> list[Artifact]:
    """The data sets that the pipeline makes; the most recently used first."""
    size = -1
    try:
        generated = prepare.configure(tables).config.generate is not None
        size = 0 if generated else prepare.source_bytes(tables, context)
        if 0 <= size <= QUICKLY_READ:
            found = context.store.find(prepare.plan(tables, {}, context).identity)
            return [found] if found else []
    except ArtifactCorruptError:
        raise
    except IodineKitError:  # the source may be gone
        pass
    every = [one for one in context.store.artifacts("dataset") if size < 0 or size == _source_bytes(one)]
    return [one for one in reversed(every) if _is_configured(tables, one, context)]


def _source_bytes(dataset: Artifact) -> int:
    return sum(source.bytes for source in dataset.manifest.identity.sources)


def _is_configured(tables: Tables, dataset: Artifact, context: Context) -> bool:
    with suppress(IodineKitError):  # a plug-in may be missing
        return not _changed(tables, "dataset", {"dataset": dataset}, context)
    return False


def _changed(tables: Tables, role: str, chain: Mapping[str, Artifact], context: Context) -> list[str]:
    """The settings by which the artifact of a role differs from what the pipeline would make of the same inputs."""
    have = chain[role].config
    if role != "dataset":
        inputs = {name: chain[name] for name in STAGES[role].INPUTS}
        return differences(have, STAGES[role].plan(tables, inputs, context).identity.config)
    layout = have.get("layout")
    planned = prepare.planned_config(tables, str(layout["name"]) if isinstance(layout, Mapping) else "")
    return differences({name: value for name, value in have.items() if name != "names"}, planned)


def _lineage(artifact: Artifact, store: Store) -> dict[str, Artifact]:
    """An artifact and everything that it was made from, by role."""
    chain = {artifact.reference.kind: artifact}
    for reference in artifact.manifest.identity.inputs.values():
        if reference.kind in STAGES and reference.kind not in chain:
            chain = {**_lineage(store.open(reference.directory), store), **chain}
    return chain
