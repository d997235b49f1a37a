"""Two stores and artifacts in one of them: a data set, a run that was trained on it, and predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iodine_kit.store import Artifact, Identity, Store


def make(store: Store, kind: str, files: dict[str, bytes], **inputs: Artifact) -> Artifact:
    """An artifact with these files."""
    identity = Identity(
        kind=kind, name="toy", stage=kind, version=1, inputs={role: one.reference for role, one in inputs.items()}
    )
    with store.draft(identity) as draft:
        for name, data in files.items():
            path = draft.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return draft.commit({"count": 1}, {"finished": "2026-01-01T00:00:00+00:00"})


@pytest.fixture(name="make")
def make_fixture() -> Callable[..., Artifact]:
    return make


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return Store(tmp_path / "there")


@pytest.fixture
def predictions(here: Store) -> Artifact:
    """Made from a run, which was made from a data set; seven files, of which two are equal and one is empty."""
    dataset = make(here, "dataset", {"train.h5": b"scenes" * 1000, "val.h5": b"v" * 999, "empty.txt": b""})
    run = make(here, "run", {"weights": bytes(range(256)) * 5000, "logs/a": b"v" * 999}, dataset=dataset)
    return make(here, "predictions", {"p.h5": b"p" * 70_000, "deep/er.txt": b"text"}, run=run, dataset=dataset)
