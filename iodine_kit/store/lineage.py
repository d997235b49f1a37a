"""What an artifact was made from, and what was made from it: inputs with their status, closures, users, files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, SchemaError, StorageError
from iodine_kit.store.artifact import Artifact
from iodine_kit.store.manifest import DOWNLOAD, MANIFEST, Reference, file_sha256, find_problems
from iodine_kit.store.store import Store

Status = Literal["in the store", "rebuilt", "missing", "unreadable"]
"""*rebuilt*: the store holds an artifact of this name and key, but with another content."""


@dataclass(frozen=True)
class Input:
    """An input of an artifact, as the store holds it now.

    Attributes:
        role: in the artifact that it is an input of: ``dataset``, ``run``, …
        reference: how that artifact names it.
        status: whether it can be used.
        artifact: ``None`` if it is missing or unreadable.
    """

    role: str
    reference: Reference
    status: Status
    artifact: Artifact | None


def inputs_of(store: Store, artifact: Artifact) -> list[Input]:
    """The direct inputs of an artifact, with their status."""
    return [input_of(store, role, one) for role, one in artifact.manifest.identity.inputs.items()]


def input_of(store: Store, role: str, reference: Reference) -> Input:
    """What a reference names, with its status."""
    try:
        artifact = store.load(reference)
    except (ArtifactCorruptError, SchemaError, StorageError):
        return Input(role, reference, "unreadable", None)
    if artifact is None:
        return Input(role, reference, "missing", None)
    same = artifact.manifest.content == reference.content
    return Input(role, reference, "in the store" if same else "rebuilt", artifact)


def closure(store: Store, artifacts: Iterable[Artifact], *, downloads: bool = False) -> list[Artifact]:
    """Artifacts and everything that they were made from: inputs first, each artifact once, in a fixed order.

    Args:
        downloads: also the downloaded files that data sets were made from. Their bytes are identified as sources, so
            that everything is valid without them.

    Raises:
        ArtifactNotFoundError: if an input is not in the store.
        ArtifactCorruptError: if an input was rebuilt with different content, or its manifest cannot be read.
    """
    done: dict[Path, Artifact] = {}
    for root in artifacts:
        waiting = [(root, False)]
        while waiting:
            artifact, inputs_are_done = waiting.pop()
            if inputs_are_done:
                done.setdefault(artifact.path, artifact)
            elif artifact.path not in done:
                inputs = _required(store, artifact, downloads)
                waiting.append((artifact, True))
                waiting.extend((one, False) for one in reversed(inputs) if one.path != artifact.path)
    return list(done.values())


def _required(store: Store, artifact: Artifact, downloads: bool) -> list[Artifact]:
    inputs = []
    for role, reference in artifact.manifest.identity.inputs.items():
        if reference.kind == DOWNLOAD and not downloads:
            continue
        made_from = store.load(reference)
        if made_from is None:
            raise ArtifactNotFoundError(
                f"{artifact.path}: its {role} {reference.directory} is not in {store.root}; make it again, or add "
                "--without-inputs"
            )
        if made_from.manifest.content != reference.content:
            raise ArtifactCorruptError(
                f"{artifact.path}: its {role} {reference.directory} was rebuilt with different content; rebuild the "
                "artifacts that depend on it"
            )
        inputs.append(made_from)
    return inputs


def users(artifacts: Iterable[Artifact]) -> dict[str, list[Artifact]]:
    """For every directory that an artifact names as an input, ``kind/name-key12``: the artifacts that name it."""
    found: dict[str, list[Artifact]] = defaultdict(list)
    for artifact in artifacts:
        for directory in dict.fromkeys(one.directory for one in artifact.manifest.identity.inputs.values()):
            found[directory].append(artifact)
    return found


class StoredFile(NamedTuple):
    """A file of an artifact: its name in it, with ``/`` between parts; where it is; size in bytes; sha256."""

    name: str
    path: Path
    bytes: int
    sha256: str


def stored_files(artifact: Artifact) -> Iterator[StoredFile]:
    """All files of an artifact, the manifest first, then the files that it lists, by name. Only the manifest is read.

    The size and hash of a listed file are those in the manifest: who copies the file compares them.
    """
    manifest = artifact.path / MANIFEST
    yield StoredFile(MANIFEST, manifest, manifest.stat().st_size, file_sha256(manifest))
    for name, record in sorted(artifact.manifest.files.items()):
        yield StoredFile(name, artifact.path / name, record.bytes, record.sha256)


_NOTES: dict[Status, str] = {
    "in the store": "",
    "rebuilt": "rebuilt with different content since",
    "missing": "not in this store",
    "unreadable": "its manifest cannot be read",
}


class Branch(NamedTuple):
    """One line of a lineage.

    Attributes:
        text: the artifact or source file.
        status: of an input; "" for a source file.
        below: what it was made from. Empty for an artifact whose lineage is shown further above.
        note: what there is to say about it.
    """

    text: str
    status: Status | Literal[""]
    below: list[Branch]
    note: str = ""


def branches(store: Store, artifact: Artifact) -> list[Branch]:
    """What an artifact was made from, as a tree: its source files, its inputs, and what those were made from."""
    tree, seen = _sources(artifact), {artifact.path}
    waiting = [(tree, one) for one in reversed(inputs_of(store, artifact))]
    while waiting:  # no recursion: a lineage from elsewhere can be long
        beside, one = waiting.pop()
        role = "" if one.role == one.reference.kind else f"{one.role}: "
        note, below = _NOTES[one.status], []
        if one.artifact is not None and one.artifact.path not in seen:
            seen.add(one.artifact.path)
            below = _sources(one.artifact)
            waiting += [(below, its) for its in reversed(inputs_of(store, one.artifact))]
        elif one.artifact is not None and (one.artifact.manifest.identity.inputs or _sources(one.artifact)):
            note = note or "as above"
        beside.append(Branch(role + one.reference.directory, one.status, below, note))
    return tree


def _sources(artifact: Artifact) -> list[Branch]:
    return [Branch(f"{one.name}  {one.bytes} bytes  sha256 {one.sha256}", "", [])
            for one in artifact.manifest.identity.sources]  # fmt: skip


def drawn(tree: Sequence[Branch]) -> Iterator[str]:
    """The lines of a tree."""
    waiting = [("", branch, branch is tree[-1]) for branch in reversed(tree)]
    while waiting:
        before, branch, is_last = waiting.pop()
        note = f"  ({branch.note})" if branch.note else ""
        yield f"{before}{'└── ' if is_last else '├── '}{branch.text}{note}"
        before += "    " if is_last else "│   "
        waiting += [(before, one, one is branch.below[-1]) for one in reversed(branch.below)]


def verify(store: Store, artifact: Artifact) -> list[str]:
    """Hash the files of an artifact and of everything that it was made from, each once.

    Returns:
        one sentence per difference from the manifests. A downloaded file may be missing, because its bytes are
        identified as a source.
    """
    return list(dict.fromkeys(_verify(store, artifact)))


def _verify(store: Store, artifact: Artifact) -> Iterator[str]:
    seen, waiting = {artifact.path}, [(artifact, "")]
    while waiting:
        made, before = waiting.pop()
        yield from (f"{before}{problem}" for problem in find_problems(made.path, made.manifest))
        below = []
        for one in inputs_of(store, made):
            name = f"{before}its {one.role} {one.reference.directory}"
            if one.status == "missing" and one.reference.kind != DOWNLOAD:
                yield f"{name} is not in {store.root}"
            elif one.status == "rebuilt":
                yield f"{name} was rebuilt with different content"
            elif one.status == "unreadable":
                yield f"{name} has a manifest that cannot be read"
            elif one.artifact is not None and one.artifact.path not in seen:
                seen.add(one.artifact.path)
                below.append((one.artifact, f"{name}: "))
        waiting += reversed(below)
