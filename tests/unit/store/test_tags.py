"""Tags never name what is not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from iodine_kit.errors import ArtifactNotFoundError
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.store.tags import add_tag, all_tags, tagged


def make(store: Store, text: str) -> Artifact:
    with store.draft(Identity(kind="run", name="r", stage="train", version=1)) as draft:
        (draft.path / "a").write_text(text)
        return draft.commit({}, {})


def test_an_artifact_that_was_removed_or_rebuilt_after_it_was_opened_gets_no_tag(tmp_path: Path) -> None:
    store = Store(tmp_path)
    opened = make(store, "old")
    shutil.rmtree(opened.path)
    with pytest.raises(ArtifactNotFoundError, match="was removed or rebuilt meanwhile"):
        add_tag(store, "paper", opened)
    rebuilt = make(store, "new")
    with pytest.raises(ArtifactNotFoundError, match="was removed or rebuilt meanwhile"):
        add_tag(store, "paper", opened)
    assert all_tags(store) == ([], [])
    add_tag(store, "paper", rebuilt)
    assert tagged(store, "paper").reference == rebuilt.reference
