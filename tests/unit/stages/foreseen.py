"""Predictions artifacts made of masks at hand, with a run of a given seed or imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from unit.stages.artifact_builders import store_scenes

from iodine_kit.predictions.file import PREDICTIONS, PredictionWriter
from iodine_kit.records import DatasetInfo, PredictionBatch, Scene
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.store.provenance import provenance


def store_masks(
    root: Path,
    masks: np.ndarray,
    *,
    size: int | None = None,
    seed: int = 0,
    background: tuple[int, ...] = (0,),
    masked: bool = True,
    entities: int | None = None,
    noise: int = 0,
    ignored: int | None = None,
) -> Artifact:
    """A data set whose split "test" has these true masks, ``uint8[N, H, W]``, and images of noise.

    Args:
        size: to be recorded as ``preprocess.size``; ``seed`` as the generator's.
        masked: false for scenes without masks, whose masks have to be 0.
        entities: largest number of them in a scene; by default that of these masks.
        noise: seed of the images.
    """
    rng = np.random.default_rng(noise)
    scenes = [
        Scene(f"test-{i:03d}", rng.integers(0, 256, (*mask.shape, 3), np.uint8), mask, has_mask=masked)
        for i, mask in enumerate(masks)
    ]
    highest = int(masks.max(initial=0, where=masks != ignored)) if ignored is not None else int(masks.max(initial=0))
    info = DatasetInfo("blocks", 0, 0, entities or highest + 1, background=background, ignored=ignored)
    return store_scenes(root, {"test": scenes}, info, {"seed": seed}, {"size": size})


def store_predictions(
    root: Path,
    dataset: Artifact,
    masks: np.ndarray,
    *,
    keys: Sequence[str] | None = None,
    train: Mapping[str, Any] | None = None,
    model: str = "stranger",
    slots: int | None = None,
    **fields: np.ndarray,
) -> Artifact:
    """Predictions for the split "test".

    Args:
        train: configuration of the run that they come from; ``None`` imports them as those of ``model``.
        fields: more of :class:`PredictionBatch`.
    """
    keys = [f"test-{i:03d}" for i in range(len(masks))] if keys is None else keys
    run = None if train is None else _store_run(root, dataset, train)
    facts = {"scenes": len(masks), "split": "test", "slots": slots, "steps": 0, "restarts": 1}
    identity = Identity(
        kind="predictions", name="blocks", stage="infer", version=1,
        config={"infer": {"split": "test", "marks": [int(masks.sum()), len(fields), *map(str, keys)], "model": model}},
        inputs={"dataset": dataset.reference, **({"run": run.reference} if run else {})},
    )  # fmt: skip
    if run:
        identity = identity.model_copy(update={"config": {"infer": {"split": "test"}}})
    with Store(root).draft(identity) as draft:
        with PredictionWriter(draft.path / PREDICTIONS, len(masks)) as writer:
            if len(masks):
                writer.append(PredictionBatch(tuple(keys), masks, **fields))
            else:
                writer._file.create_dataset("mask", (0, 2, 2), np.uint8)
        return draft.commit(facts if run else facts | {"model": model}, provenance(datetime.now(UTC)))


def _store_run(root: Path, dataset: Artifact, train: Mapping[str, Any]) -> Artifact:
    identity = Identity(
        kind="run", name="net-blocks", stage="train", version=1,
        config={"train": dict(train), "model": {"name": "net"}}, inputs={"dataset": dataset.reference},
    )  # fmt: skip
    store = Store(root)
    found = store.find(identity)
    if found:
        return found
    with store.draft(identity) as draft:
        return draft.commit({}, provenance(datetime.now(UTC)))
