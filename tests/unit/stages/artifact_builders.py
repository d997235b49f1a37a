"""Data set artifacts made of scenes at hand, without the stage that prepares published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit.formats import hdf5, write_split
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.store.provenance import provenance


def block_scenes(count: int) -> list[Scene]:
    """Scenes of 6×6 random pixels, of which the upper half is an object."""
    draw = np.random.default_rng(0)
    mask = np.zeros((6, 6), np.uint8)
    mask[:3] = 1
    return [Scene(f"s{i}", draw.integers(0, 256, (6, 6, 3), np.uint8), mask) for i in range(count)]


def store_scenes(
    root: Path,
    splits: Mapping[str, Sequence[Scene]],
    info: DatasetInfo,
    config: Mapping[str, Any] | None = None,
    preprocess: Mapping[str, Any] | None = None,
) -> Artifact:
    """Store scenes of one size as a data set artifact in HDF5, of the plug-in that ``info`` names.

    A split whose scenes have no masks is recorded as such.
    """
    scene = next(iter(splits.values()))[0]
    stored = vars(info) | {"height": scene.mask.shape[0], "width": scene.mask.shape[1]}
    factors = {name: {"dtype": str(v.dtype), "shape": list(v.shape)} for name, v in scene.factors.items()}
    counts = {name: len(scenes) for name, scenes in splits.items()}
    facts = {"info": stored | {"background": list(info.background)}, "splits": counts, "format": "hdf5"}
    unmasked = [name for name, scenes in splits.items() if not any(scene.has_mask for scene in scenes)]
    facts |= {"unmasked": unmasked} if unmasked else {}
    tables = {"dataset": {"name": info.dataset, **(config or {})}, "preprocess": dict(preprocess or {}), "split": {}}
    identity = Identity(kind="dataset", name=info.dataset, stage="prepare", version=1, config=tables)
    with Store(root).draft(identity) as draft:
        for name, scenes in splits.items():
            write_split(hdf5, draft.path, name, scenes, hdf5.Config())
        return draft.commit(facts | {"factors": factors}, provenance(datetime.now(UTC)))
