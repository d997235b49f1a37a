"""Files that only iodine-kit writes, and how it reads them: archives, manifests, pipelines, weights, predictions."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np

N, SIDE = 3, 8


def archives(folder: Path) -> list[bytes]:
    from iodine_kit.progress import Silent
    from iodine_kit.store import Identity, Store
    from iodine_kit.store.archive import pack

    with Store(folder / "packed").draft(Identity(kind="run", name="r", stage="train", version=1)) as draft:
        for name in ("weights", "x" * 120):  # one name is too long for the header of a member
            (draft.path / name).write_bytes(b"abc" * 99)
        artifact = draft.commit({"count": 1}, {})
    stream = io.BytesIO()
    pack([artifact], stream, Silent())
    return [stream.getvalue()]


def read_archive(path: Path) -> Any:
    """Unpack into a store of its own, and look whether anything was written beside it."""
    from iodine_kit.progress import Silent
    from iodine_kit.store import Store
    from iodine_kit.store.archive import unpack

    folder, others = path.parent / "unpacked" / "here", sorted(path.parent.iterdir())
    shutil.rmtree(folder.parent, ignore_errors=True)
    try:
        with path.open("rb") as stream:
            unpacked = unpack(stream, Store(folder), Silent(), path)
        return [(one.path.name, one.manifest.content, sorted(one.manifest.files)) for one in unpacked.artifacts]
    finally:
        written = {one.name for one in folder.parent.iterdir()} if folder.parent.exists() else set()
        assert written <= {"here"} and sorted(set(path.parent.iterdir()) - {folder.parent}) == others
        shutil.rmtree(folder.parent, ignore_errors=True)


def manifests(folder: Path) -> list[bytes]:
    from iodine_kit.store import Identity
    from iodine_kit.store.manifest import build_manifest, write_manifest

    reference = {"kind": "run", "name": "r", "key": "ab", "content": "cd"}
    source = {"name": "f", "sha256": "00", "bytes": 1, "location": "here"}
    identity = Identity.model_validate(
        {"kind": "dataset", "name": "toy", "stage": "prepare", "version": 1, "plugins": {"format/hdf5": 1},
         "config": {"a": {"b": [1, 2.5, None]}}, "inputs": {"run": reference}, "sources": [source]}
    )  # fmt: skip
    (folder / "a.txt").write_text("a")
    facts = {"count": 1, "text": "é", "splits": {"test": 3}}
    write_manifest(folder, build_manifest(folder, identity, facts, {"finished": "2026-01-01T00:00:00+00:00"}))
    return [(folder / "manifest.json").read_bytes()]


def read_manifest(path: Path) -> None:
    from iodine_kit.store.manifest import find_problems, read_manifest

    find_problems(path.parent, read_manifest(path.parent))


def pipelines(folder: Path) -> list[bytes]:
    path = Path(__file__).parents[2] / "pipelines" / "quickstart.toml"
    lines = path.read_text("utf-8").splitlines()
    return ["\n".join(line for line in lines if not line.startswith("#")).encode()]


def read_pipeline(path: Path) -> None:
    from iodine_kit import pipeline

    pipeline.load(str(path))


def weights(folder: Path) -> list[bytes]:
    import torch

    from iodine_kit.training.checkpoint import Checkpoint, encode, save_weights

    tensors = {"weights/w": torch.arange(6.0).reshape(2, 3), "weights/n": torch.tensor(7)}
    save_weights(folder / "w.safetensors", tensors)
    facts = {"step": 3, "best": {}, "settings": {"model": {"slots": 2}, "train": {}}}
    return [(folder / "w.safetensors").read_bytes(), encode(Checkpoint(tensors, facts))]


def read_weights(path: Path) -> None:
    from iodine_kit.training.checkpoint import read_weights

    read_weights(path.read_bytes(), path)


def predictions(folder: Path) -> list[bytes]:
    from iodine_kit.predictions.file import PredictionWriter
    from iodine_kit.records import PredictionBatch

    batch = PredictionBatch(("a", "b", "c"), np.zeros((N, SIDE, SIDE), np.uint8), elbo=np.zeros((N, 2), np.float32))
    with PredictionWriter(folder / "p.h5", N) as writer:
        writer.append(batch)
    return [(folder / "p.h5").read_bytes()]


def read_predictions(path: Path) -> None:
    from iodine_kit.predictions.file import PredictionReader

    reader = PredictionReader(path)
    try:
        reader.batch(0, len(reader))
    finally:
        reader.close()
