"""pull: fetch artifacts, and what they were made from, from a remote that is not trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress

from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, CorruptDataError, did_you_mean
from iodine_kit.formatting import counted
from iodine_kit.progress import Reporter
from iodine_kit.remote.fetch import fetch
from iodine_kit.remote.layout import Entry, Remote
from iodine_kit.remote.transfers import JOBS, Transferred, pool
from iodine_kit.store import Artifact, Manifest, Store
from iodine_kit.store.arrivals import Arrivals, arriving
from iodine_kit.store.artifact import SHORTEST_KEY
from iodine_kit.store.manifest import DOWNLOAD, KEY_IN_NAME

_MANY = 12
"""More names than this are not listed in an error."""


def contents(remote: Remote, jobs: int = JOBS) -> list[tuple[Entry, Manifest]]:
    """All artifacts of a remote with their manifests, the one made last at the end; omits those with a damaged one."""
    remote.check()

    def read(entry: Entry) -> tuple[Entry, Manifest] | None:
        with suppress(CorruptDataError):
            return entry, remote.manifest(entry)[1]
        return None

    with pool(min(jobs, remote.address.kind.jobs), lambda count: None) as threads:
        found = [one for one in threads.map(read, remote.entries()) if one is not None]
    return sorted(found, key=lambda one: (str(one[1].made.get("finished", "")), one[0]))


def pull(
    store: Store,
    places: Sequence[str],
    remote: Remote,
    reporter: Reporter,
    *,
    inputs: bool = True,
    jobs: int = JOBS,
) -> tuple[list[Artifact], Transferred]:
    """Fetch artifacts from a remote. They appear in the store when all files arrived and have the right sha256.

    Files of an interrupted call with the same ``places`` are kept, and the next call fetches the others.

    Args:
        store: receives the artifacts. What it has is not fetched again.
        places: what to fetch: ``kind/name-key``, a directory name, or the first digits of a key.
        inputs: also fetch everything that the artifacts were made from; a note names what the remote lacks.
        jobs: most files at the same time.

    Returns:
        the artifacts of ``places``, and counts.

    Raises:
        ArtifactCorruptError: an artifact that the store had already is damaged.
        ArtifactNotFoundError: no artifact has this name, or several do.
        CorruptDataError: a manifest or an object is missing or damaged, or names what it must not name.
        RemoteError: the remote cannot be reached or refuses.
        ResumeError: the store has an artifact with other content, or another process is making it.
        StorageError: the disk is full or refuses.
    """
    remote.check()
    entries = remote.entries()
    chosen = list(dict.fromkeys(choose(place, entries, remote) for place in places))
    found = _needed(chosen, set(entries), remote, reporter, inputs)
    result = Transferred(tuple(entry.directory for entry in found))
    name = "pull-" + hashlib.sha256("".join(sorted(entry.manifest for entry in chosen)).encode()).hexdigest()[:16]
    with arriving(store, name, keep=True) as arrivals:
        manifests = [arrivals.announce(data, f"{remote.address.shown}/{one.manifest}") for one, data in found.items()]
        _fetch(manifests, arrivals, remote, reporter, result, jobs)
        arrivals.commit()
    fetched = [_whole(store, entry) for entry in chosen]
    return [store.touch(artifact, artifact.purpose) for artifact in fetched], result


def _fetch(
    manifests: Sequence[Manifest],
    arrivals: Arrivals,
    remote: Remote,
    reporter: Reporter,
    result: Transferred,
    jobs: int,
) -> None:
    missing = [(manifest, name) for manifest in manifests for name in arrivals.missing(manifest)]
    all_sizes = [record.bytes for manifest in manifests for record in manifest.files.values()]
    sizes = [manifest.files[name].bytes for manifest, name in missing]
    jobs = min(jobs, remote.address.kind.jobs)
    with reporter.track(f"pull {counted(len(missing), 'file')}", sum(sizes)) as advance, pool(jobs, advance) as threads:
        threads.map(lambda one: fetch(remote, arrivals, one[0], one[1], threads), missing)
    result.count(len(sizes), sum(sizes), there=False)
    result.count(len(all_sizes) - len(sizes), sum(all_sizes) - sum(sizes), there=True)


def _whole(store: Store, entry: Entry) -> Artifact:
    """The artifact in the store; one that was there may be damaged."""
    artifact = store.open(str(store.root / entry.directory))
    try:
        return store.usable(artifact)
    except ArtifactCorruptError as error:
        reason = str(error).removesuffix("; rebuild it with --overwrite")
        raise ArtifactCorruptError(f"{reason}; delete {artifact.path}, and pull it again") from None


def choose(place: str, entries: Sequence[Entry], remote: Remote) -> Entry:
    """The artifact that a user means.

    Args:
        place: ``kind/name-key``, a directory name, or the first digits of a key; ``@`` and the first digits of the
            content can follow.

    Raises:
        ArtifactNotFoundError: none matches, or several do.
    """
    name, _, content = place.rstrip("/").partition("@")
    found = [one for one in entries if _is_meant(name, one.directory) and one.content.startswith(content)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(f"{one.directory}@{one.content[:KEY_IN_NAME]}" for one in found[:_MANY])
        raise ArtifactNotFoundError(
            f"{place}: matches {len(found)} artifacts at {remote.address.shown}: give one of {shown}"
        )
    known = {one.directory for one in entries}
    near = did_you_mean(name, known) if "/" in name else did_you_mean(name, {one.partition("/")[2] for one in known})
    hint = near if "did you mean" in near or len(known) <= _MANY else ""
    raise ArtifactNotFoundError(
        f"{place}: no such artifact at {remote.address.shown}{hint}; 'iodine-kit pull --from {remote.address.shown}' "
        "lists all"
    )


def _is_meant(place: str, directory: str) -> bool:
    """Whether ``place`` means a directory ``kind/name-key12``, as for artifacts of the store."""
    kind, _, name = directory.partition("/")
    stem, _, digits = name.rpartition("-")
    asked, _, rest = place.rpartition("/")
    by_name = asked in ("", kind) and len(rest) >= len(stem) + 1 + SHORTEST_KEY and name.startswith(rest)
    by_key = not asked and len(rest) >= SHORTEST_KEY and digits.startswith(rest[:KEY_IN_NAME])
    return by_name or by_key


def _needed(
    chosen: Sequence[Entry], known: set[Entry], remote: Remote, reporter: Reporter, inputs: bool
) -> dict[Entry, bytes]:
    """The manifests of artifacts and of all that they were made from."""
    found: dict[Entry, bytes] = {}
    waiting = list(chosen)
    while waiting:
        entry = waiting.pop()
        if entry in found:
            continue
        found[entry], manifest = remote.manifest(entry)
        for role, reference in manifest.identity.inputs.items() if inputs else ():
            made_from = Entry(reference.directory, reference.content)
            if made_from in known:
                waiting.append(made_from)
            elif reference.kind != DOWNLOAD:
                reporter.note(f"{entry.directory}: its {role} {reference.directory} is not at {remote.address.shown}")
    return found
