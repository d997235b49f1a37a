"""Which artifact an argument means: an artifact, a path, a name or the first letters of a key."""

from __future__ import annotations

import os
from pathlib import Path

from iodine_kit.api.arguments import argument
from iodine_kit.errors import ArtifactNotFoundError, did_you_mean
from iodine_kit.store import Artifact, Store
from iodine_kit.store.manifest import MANIFEST

Place = str | Path | Artifact
"""An artifact; or the path of its directory; or, in a store, its directory's name, the first letters of its key, or the
name of artifacts, of which the most recent one is taken."""
VARIABLE = "IODINE_KIT_STORE"


def open_store(store: str | Path | None) -> Store:
    """Return the store in a directory; by default the one that ``IODINE_KIT_STORE`` names, or else ``data``."""
    return Store(Path(store or os.environ.get(VARIABLE) or "data"))


def find(name: str, place: Place, kind: str, store: str | Path | None) -> Artifact:
    """Return the artifact that an argument means, after a check of its files.

    Args:
        name: of the argument.
        kind: of the artifact, such as ``dataset``.
        store: for a ``place`` that is no path; see :func:`open_store`.

    Raises:
        ValueError: if there is no such artifact; the message names the nearest name.
        ArtifactCorruptError: if files of the artifact were changed.
    """
    with argument(name):
        if isinstance(place, Artifact):
            return Store.of(place).usable(Store.of(place).open(str(place.path), kind))
        path = Path(place)
        if (path / MANIFEST).is_file():
            outside = Store(path.resolve().parents[1])
            return outside.usable(outside.open(str(path.resolve()), kind))
        inside = open_store(store)
        return inside.usable(_in_store(inside, str(place), kind))


def _in_store(store: Store, place: str, kind: str) -> Artifact:
    artifacts = [artifact for artifact in store.artifacts(kind) if not artifact.purpose]
    named = [artifact for artifact in artifacts if artifact.manifest.identity.name == place]
    if named:
        return named[-1]
    try:
        return store.open(place, kind)
    except ArtifactNotFoundError as error:
        names = {artifact.manifest.identity.name for artifact in artifacts}
        raise ArtifactNotFoundError(f"{error}{did_you_mean(place, names) if names else ''}") from None
