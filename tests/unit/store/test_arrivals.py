"""Transfers beside other processes: the lock of one lasts as long as the transfer, and no artifact is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from iodine_kit.errors import ResumeError
from iodine_kit.store import Identity, Store
from iodine_kit.store.arrivals import ARRIVALS, arriving
from iodine_kit.store.contents import contents
from iodine_kit.store.garbage import DAY, Rules, removable, still_removable
from iodine_kit.store.locks import LOCKS, lock_name
from iodine_kit.store.manifest import MANIFEST
from iodine_kit.store.removal import remove


def test_the_lock_of_a_long_transfer_stays_and_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iodine_kit.store.locks.GRACE", 0.0)
    store = Store(tmp_path)
    lock = store.root / LOCKS / lock_name(store.root / ARRIVALS / "pull-1")
    with arriving(store, "pull-1"):
        os.utime(lock, (0, 0))
        rules = Rules(older_than=DAY)
        before = contents(store)
        chosen = removable(store, rules, before)
        remove(store, chosen, before, lambda now: still_removable(store, rules, chosen, now))
        with pytest.raises(ResumeError, match="another process is receiving"), arriving(store, "pull-1"):
            pass
    assert not lock.exists()


def test_an_artifact_that_is_removed_during_a_transfer_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.draft(Identity(kind="run", name="r", stage="train", version=1)) as draft:
        (draft.path / "a").write_text("a")
        made = draft.commit({}, {})
    data = (made.path / MANIFEST).read_bytes()
    with arriving(store, "pull-1") as arrivals:
        arrivals.announce(data, "remote")
        shutil.rmtree(made.path)
        with pytest.raises(ResumeError, match="was removed from the store meanwhile: repeat the command"):
            arrivals.commit()


def test_no_two_artifacts_share_a_lock() -> None:
    assert lock_name(Path("a-b/c-0123456789ab")) != lock_name(Path("a/b-c-0123456789ab"))
