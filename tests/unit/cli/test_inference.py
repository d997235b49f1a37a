"""The data set that infer uses."""

from __future__ import annotations

import tarfile
from pathlib import Path

from support import Command

RECORDED = Path(__file__).parents[2] / "data" / "recorded_store.tar.xz"


def test_an_altered_data_set_is_refused_even_if_it_is_named(iodine_kit: Command, tmp_path: Path) -> None:
    with tarfile.open(RECORDED) as archive:
        archive.extractall(tmp_path, filter="data")
    dataset = next((tmp_path / "data" / "dataset").iterdir())
    shard = min(dataset.rglob("*.h5"))
    shard.write_bytes(shard.read_bytes() + b"\0")
    error = iodine_kit("infer", "--dataset", dataset.relative_to(tmp_path), status=11).stderr
    assert str(shard.relative_to(dataset)) in error and "; rebuild it: iodine-kit prepare " in error
