"""Writing and reading predictions.h5, and files that are not such a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from iodine_kit.errors import CorruptDataError, StorageError
from iodine_kit.predictions.file import PredictionReader, PredictionWriter
from iodine_kit.records import PredictionBatch
from iodine_kit.system import require_free_space


def batch(first: int, count: int) -> PredictionBatch:
    rng = np.random.default_rng(first)
    mask = rng.integers(0, 3, (count, 4, 5), dtype=np.uint8)
    elbo = rng.normal(size=(count, 2)).astype(np.float32)
    return PredictionBatch(tuple(f"s-{first + i}" for i in range(count)), mask, elbo=elbo)


def written(path: Path) -> Path:
    with PredictionWriter(path, 5) as writer:
        writer.append(batch(0, 3))
        writer.append(batch(3, 2))
    return path


def test_slices_may_span_the_written_batches(tmp_path: Path) -> None:
    reader = PredictionReader(written(tmp_path / "p.h5"))
    assert len(reader) == 5 and reader.fields() == {"mask", "elbo"} and reader.keys == [f"s-{i}" for i in range(5)]
    across = reader.batch(2, 4)
    assert (across.mask == np.concatenate([batch(0, 3).mask[2:], batch(3, 2).mask[:1]])).all()
    assert (reader.column("elbo") == np.concatenate([batch(0, 3).elbo, batch(3, 2).elbo])).all()
    assert across.soft_mask is None and reader.column("soft_mask") is None


def test_the_same_predictions_give_the_same_bytes(tmp_path: Path) -> None:
    digests = {hashlib.sha256(written(tmp_path / name).read_bytes()).hexdigest() for name in ("a.h5", "b.h5")}
    assert len(digests) == 1


@pytest.mark.parametrize("damage", ["short", "integer keys", "no mask", "a group", "not HDF5"])
def test_other_files_are_refused(damage: str, tmp_path: Path) -> None:
    path = written(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        if damage in ("short", "a group"):
            del file["elbo"]
            file.create_group("elbo") if damage == "a group" else file.create_dataset("elbo", data=np.zeros((4, 2)))
        if damage == "integer keys":
            del file["key"]
            file["key"] = np.arange(5)
        if damage == "no mask":
            del file["mask"]
    if damage == "not HDF5":
        path.write_bytes(b"hello")
    with pytest.raises(CorruptDataError, match=r"p\.h5: not a predictions file"):
        PredictionReader(path)


def test_a_disk_that_is_too_small_is_refused_before_writing(tmp_path: Path) -> None:
    require_free_space(tmp_path, 1)
    with pytest.raises(StorageError, match="are needed but only"):
        require_free_space(tmp_path, 10**18)


def test_keys_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "p.h5")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"s-3", b"s-\xff"))
    with pytest.raises(CorruptDataError, match="not a predictions file"):
        PredictionReader(path)
