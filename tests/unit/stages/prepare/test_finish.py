"""A preparation that ends while a format finishes its splits resumes, and its bytes are those of an undisturbed one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.formats import _joined_hdf5
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import prepare
from iodine_kit.stages.prepare import make
from iodine_kit.stages.prepare.finished_shards import FinishedShards
from iodine_kit.stages.prepare.journal import State
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


def cut(path: Path) -> None:
    """Remove the last byte."""
    path.write_bytes(path.read_bytes()[:-1])


def remove(path: Path) -> None:
    """Delete the file."""
    path.unlink()


def flip(path: Path) -> None:
    """Change a bit in the middle; the size remains."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


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


def interrupted_before(moment: str, store: Path, scenes_per_shard: int, kind: str = "hdf5") -> Path:
    """Interrupt a preparation at one of the moments; returns its unfinished folder."""
    module, name = MOMENTS[moment]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, name, _interrupted(getattr(module, name), 2 if module is _joined_hdf5 else 1))
        prepared(store, scenes_per_shard, kind)
    (journal,) = store.glob("dataset/.*/prepare.journal")
    return journal.parent


@pytest.mark.parametrize("kind", ["hdf5", "webdataset"])
@pytest.mark.parametrize("change", [cut, remove, flip])
def test_it_refuses_a_shard_that_changed_meanwhile(kind: str, change: Callable[[Path], None], tmp_path: Path) -> None:
    """The format only looks into the first and the last shard of a split."""
    draft = interrupted_before("before the description", tmp_path, 8, kind)
    (shard,) = draft.glob("train-000001.*")
    content = shard.read_bytes()
    change(shard)
    with pytest.raises(ArtifactCorruptError, match=r"train-000001\.\w+: this finished shard was changed or removed"):
        prepared(tmp_path, 8, kind)
    shard.write_bytes(content)
    assert len(contents(prepared(tmp_path, 8, kind))) > 5


@pytest.mark.parametrize("scenes_per_shard", [100, 8])
@pytest.mark.parametrize("moment", MOMENTS)
def test_whatever_changes_while_a_format_finishes_is_refused_or_mended(
    moment: str, scenes_per_shard: int, tmp_path: Path
) -> None:
    """The format renames the last shard of a split, or adds to it: its bytes are not those that were written."""
    if scenes_per_shard == 100 and MOMENTS[moment][0] is _joined_hdf5:
        pytest.skip("single shards are not joined")
    whole = contents(prepared(tmp_path / "whole", scenes_per_shard))
    draft = interrupted_before(moment, tmp_path / "store", scenes_per_shard)
    originals = {path: path.read_bytes() for path in draft.glob("*") if path.suffix != ".journal" and path.is_file()}
    refused = set()
    for path in originals:
        for change in (cut, remove, flip):
            copy = tmp_path / f"{path.name}-{change.__name__}"
            shutil.copytree(tmp_path / "store", copy, copy_function=_copied_with_links())
            change(copy / path.relative_to(tmp_path / "store"))
            try:
                assert contents(prepared(copy, scenes_per_shard)) == whole
            except ArtifactCorruptError as error:
                assert "this finished shard was changed or removed; start again with --overwrite" in str(error)
                refused.add((path.name, change.__name__))
    assert refused


def test_a_shard_that_no_journal_counts_yet_is_written_again(tmp_path: Path) -> None:
    """The journal can be written between the shard and the removal of its scenes from the journal."""
    state = State(shards={"train": [8]})
    finished = FinishedShards(tmp_path, state)
    for number in range(2):
        (tmp_path / f"train-00000{number}.h5").write_bytes(b"shard")
        finished.add(tmp_path / f"train-00000{number}.h5")
    (tmp_path / "train-000001.h5").write_bytes(b"sh")
    finished.check()
    (tmp_path / "train-000000.h5").write_bytes(b"sh")
    with pytest.raises(ArtifactCorruptError, match=r"train-000000\.h5"):
        finished.check()


def _interrupted(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    """The function, but its call number ``at`` is interrupted: of two splits, the first can be finished before."""
    calls: list[object] = []

    def call(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == at:
            raise KeyboardInterrupt
        return function(*arguments)

    return call


def _copied_with_links() -> Callable[[str, str], str]:
    """A way to copy files that copies hard links as hard links."""
    copies: dict[int, str] = {}

    def copy(source: str, target: str) -> str:
        inode = Path(source).stat().st_ino
        if inode in copies:
            os.link(copies[inode], target)
        else:
            copies[inode] = shutil.copy2(source, target)
        return target

    return copy
