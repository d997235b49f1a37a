"""``made`` of a manifest that someone edited by hand, or that came from elsewhere: no hash protects it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.reporting.lineage import lineage_of
from iodine_kit.store import Identity, Store
from iodine_kit.store.manifest import MANIFEST
from iodine_kit.store.queries import Filter, rows

MADE = {
    "finished": "2026-01-01T00:00:00+00:00", "seconds": 1.25, "command": ["iodine-kit", "study", "seeds"],
    "iodine_kit": "1.0", "git": {"commit": "c" * 40, "dirty": True}, "packages": {"torch": None}, "other": [1],
}  # fmt: skip
"""As older code wrote it, without a purpose."""
WRONG: Any = (None, 5, True, "x", [1], [["x"]], {}, {"a": 1}, 10**400)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    with store.draft(Identity(kind="run", name="r", stage="train", version=1)) as draft:
        draft.commit({}, MADE)
    return store


def edited(store: Store, made: Any) -> None:
    path = next(store.root.glob(f"run/r-*/{MANIFEST}"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "made": made}))


@given(st.sampled_from(sorted(MADE)), st.sampled_from(WRONG), st.booleans())
def test_an_edited_entry_stops_no_command_that_looks_at_the_store(
    store: Store, name: str, value: Any, missing: bool
) -> None:
    edited(store, {other: MADE[other] for other in MADE if other != name} | ({} if missing else {name: value}))
    (artifact,) = store.artifacts()
    assert artifact.purpose in ("", "study")
    (row,) = rows([artifact], {})
    assert Filter(text="RUN/").accepts(row, row.used)
    facts = dict(lineage_of("run", artifact).facts)
    assert facts["code"] == (f"{'c' * 12} (changed)" if name != "git" else "release 1.0")


def test_entries_of_the_right_type_are_read_as_they_are(store: Store) -> None:
    edited(store, MADE)
    (artifact,) = store.artifacts()
    assert artifact.manifest.made == MADE
    assert artifact.purpose == "study"
