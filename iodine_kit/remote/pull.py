"""pull: fetch artifacts, and what they were made from, from a remote that is not trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from iodine_kit.errors import ArtifactCorruptError, CorruptDataError, IodineKitError, SchemaError
from iodine_kit.formatting import counted
from iodine_kit.progress import Reporter
from iodine_kit.remote.fetch import fetch
from iodine_kit.remote.layout import Entry, Remote
from iodine_kit.remote.names import choose, read_tag, refuse_other_tag
from iodine_kit.remote.transfers import JOBS, Transferred, pool
from iodine_kit.store import Artifact, Manifest, Store
from iodine_kit.store.arrivals import Arrivals, arriving, inputs_first
from iodine_kit.store.manifest import DOWNLOAD
from iodine_kit.store.remedies import damage_error
from iodine_kit.store.store import HASHED_ON_USE
from iodine_kit.store.tags import PREFIX, add_tag


def contents(remote: Remote, jobs: int = JOBS) -> list[tuple[Entry, Manifest]]:
    """All artifacts of a remote with their manifests, the one made last at the end; omits those that cannot be read."""
    return survey(remote, jobs)[0]


def survey(remote: Remote, jobs: int = JOBS) -> tuple[list[tuple[Entry, Manifest]], dict[Entry, IodineKitError]]:
    """All artifacts of a remote, as :func:`contents`, and why the manifests of others cannot be read."""
    remote.check()

    def read(entry: Entry) -> tuple[Entry, Manifest | IodineKitError]:
        try:
            return entry, remote.manifest(entry)[1]
        except (CorruptDataError, SchemaError) as error:
            return entry, error

    with pool(min(jobs, remote.address.kind.jobs), lambda count: None) as threads:
        read_all = threads.map(read, remote.entries())
    found = [(entry, one) for entry, one in read_all if isinstance(one, Manifest)]
    damaged = {entry: one for entry, one in read_all if isinstance(one, IodineKitError)}
    return sorted(found, key=lambda one: (str(one[1].made.get("finished", "")), one[0])), damaged


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
        places: what to fetch: ``kind/name-key``, a directory name, the first digits of a key, or ``tag:NAME``: then the
            store also gets the tag.
        inputs: also fetch everything that the artifacts were made from; a note names what the remote lacks.
        jobs: most files at the same time.

    Returns:
        the artifacts of ``places``, and counts.

    Raises:
        ArtifactCorruptError: an artifact that the store had already is damaged.
        ArtifactNotFoundError: no artifact has this name, or several do.
        CorruptDataError: a manifest or an object is missing or damaged, or names what it must not name.
        RemoteError: the remote cannot be reached or refuses.
        ResumeError: the store has an artifact with other content or another artifact with the same tag, or another
            process is making it.
        StorageError: the disk is full or refuses.
    """
    remote.check()
    entries = remote.entries()
    tags = [read_tag(remote, place.removeprefix(PREFIX)) for place in places if place.startswith(PREFIX)]
    for tag in tags:
        refuse_other_tag(store, tag)
    chosen = list(dict.fromkeys(choose(place, entries, remote) for place in places))
    found = _needed(chosen, set(entries), remote, reporter, inputs)
    name = "pull-" + hashlib.sha256("".join(sorted(entry.manifest for entry in chosen)).encode()).hexdigest()[:16]
    with arriving(store, name, keep=True) as arrivals:
        manifests = [arrivals.announce(data, f"{remote.address.shown}/{one.manifest}") for one, data in found.items()]
        result = Transferred(tuple(one.reference.directory for one in inputs_first(manifests)))
        _fetch(manifests, arrivals, remote, reporter, result, jobs)
        arrivals.commit()
    fetched = [_whole(store, entry) for entry in chosen]
    for tag in tags:
        add_tag(store, tag.name, next(one for one in fetched if one.reference.directory == tag.artifact.directory))
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
    except ArtifactCorruptError:
        raise damage_error(artifact, artifact.problems(hash_up_to=HASHED_ON_USE), copy="pull") from None


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
