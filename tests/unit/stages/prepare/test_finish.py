"""A preparation that ends while a format finishes its splits resumes, and its bytes are those of an undisturbed one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.formats import _joined_hdf5
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import prepare
from iodine_kit.stages.prepare import make
from iodine_kit.store import Store

MOMENTS: dict[str, tuple[object, str]] = {
    "before the view of all shards": (_joined_hdf5, "_add_view"),
    "before the links to the view": (_joined_hdf5, "_write_links"),
    "before the description": (make, "write_description"),
    "before the contact sheet": (make, "write_contact_sheet"),
}


def prepared(store: Path, scenes_per_shard: int, kind: str = "hdf5") -> Path:
    tables: dict[str, Any] = {
        "prepare": {"dataset": "tetrominoes", "generate": 30, "split": {"train": 20, "test": 10}, "format": kind},
        "dataset": {"cell": 2},
        "format": {"scenes_per_shard": scenes_per_shard},
    }
    return run_stage(prepare, tables, {}, Context(Store(store))).path


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"}


@pytest.mark.parametrize("scenes_per_shard", [100, 8])
@pytest.mark.parametrize("moment", MOMENTS)
def test_it_resumes(moment: str, scenes_per_shard: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name = MOMENTS[moment]
    if scenes_per_shard == 100 and module is _joined_hdf5:
        pytest.skip("single shards are not joined")
    whole = contents(prepared(tmp_path / "whole", scenes_per_shard))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, name, _interrupted(getattr(module, name), 2 if module is _joined_hdf5 else 1))
        prepared(tmp_path / "store", scenes_per_shard)
    assert contents(prepared(tmp_path / "store", scenes_per_shard)) == whole


@pytest.mark.parametrize("kind", ["hdf5", "webdataset"])
@pytest.mark.parametrize("change", ["cut", "remove"])
def test_it_refuses_a_shard_that_changed_meanwhile(
    kind: str, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The format only looks into the first and the last shard of a split."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(make, "write_description", _interrupted(make.write_description, 1))
        prepared(tmp_path, 8, kind)
    (shard,) = tmp_path.glob("dataset/.*/train-000001.*")
    content = shard.read_bytes()
    shard.unlink()
    if change == "cut":
        shard.write_bytes(content[:-1])
    with pytest.raises(ArtifactCorruptError, match=r"train-000001\.\w+: this finished shard was changed or removed"):
        prepared(tmp_path, 8, kind)
    shard.write_bytes(content)
    assert len(contents(prepared(tmp_path, 8, kind))) > 5


def _interrupted(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    """The function, but its call number ``at`` is interrupted: of two splits, the first can be finished before."""
    calls: list[object] = []

    def call(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == at:
            raise KeyboardInterrupt
        return function(*arguments)

    return call
