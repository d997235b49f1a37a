"""The probe and traversal that a report uses if none is named."""

from __future__ import annotations

from pathlib import Path

from iodine_kit.cli.reports import _newest_of
from iodine_kit.store import Artifact, Identity, Store


def make(store: Store, kind: str, text: str, **inputs: Artifact) -> Artifact:
    references = {role: artifact.reference for role, artifact in inputs.items()}
    with store.draft(Identity(kind=kind, name="small", stage="s", version=1, inputs=references)) as draft:
        (draft.path / "a.txt").write_text(text)
        return draft.commit({}, {"finished": "2026-01-01T00:00:00+00:00"})


def test_a_probe_of_predictions_that_were_rebuilt_since_is_not_shown(tmp_path: Path) -> None:
    store = Store(tmp_path)
    predictions = make(store, "predictions", "first")
    assert _newest_of(store, "probe", predictions) is None
    probe = make(store, "probe", "of the first", predictions=predictions)
    chosen = _newest_of(store, "probe", predictions)
    assert chosen is not None and chosen.path == probe.path
    assert _newest_of(store, "probe", make(store, "predictions", "second")) is None
