"""Visible objects with their factors, and the slots of their scenes.

Only entities that are there count: data sets pad scenes to one number of entities. The released evaluation of IODINE
takes the error of absent entities as 0, which counts each of them as predicted perfectly. A probe that is trained on
absent entities too is rewarded for telling an empty slot from a full one. Both scores are far from 0 for latents that
hold no information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.dataset_statistics.split_statistics import VISIBILITY
from iodine_kit.errors import SchemaError
from iodine_kit.metrics import Comparison
from iodine_kit.records import Array, Floats64, PredictionBatch, SceneBatch


@dataclass(frozen=True, eq=False)
class Objects:
    """M visible objects in N scenes with K slots of Z latent dimensions.

    Attributes:
        loc_NKZ: ``float64``, the posterior means of all slots.
        scene_M: ``int64``, each object's scene, ascending.
        slot_M: ``int64``, the slot matched to each object by mask, −1 for none.
        factors: ``[M, …]`` by name.
    """

    loc_NKZ: NDArray[np.float64]
    scene_M: NDArray[np.int64]
    slot_M: NDArray[np.int64]
    factors: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.scene_M)


class ObjectCollector:
    """Collects objects batch by batch."""

    def __init__(self, entities: int, background: Sequence[int], ignored: int | None = None, first: int = 0) -> None:
        """Start without objects.

        Args:
            entities: of a scene, background included: a factor has a row for each of them.
            background: mask ids that are background.
            ignored: mask id of the pixels to ignore, which belong to no object; ``None`` if there are none.
            first: number of the first scene, of a part of the scenes.
        """
        self._entities, self._background, self._ignored = entities, tuple(background), ignored
        self._scenes = first
        self._loc: list[Floats64] = []
        self._scene: list[NDArray[np.int64]] = []
        self._slot: list[NDArray[np.int64]] = []
        self._factors: dict[str, list[Array]] = {}

    def add(self, truth: SceneBatch, prediction: PredictionBatch, factors: Sequence[Mapping[str, Array]]) -> None:
        """Add a batch whose latents were stored; ``factors`` are those of its scenes.

        Raises:
            SchemaError: if a true mask has an entity without a row of factors, a predicted one a slot without latents,
                or latents are not finite or their deviations not above 0.
        """
        _check_latents(prediction)
        comparison = Comparison(truth, prediction, self._background, ignored=self._ignored)
        place, row = np.nonzero(comparison.objects_BN)
        self._check_entities(comparison, place, row)
        assert prediction.latent_loc is not None
        self._loc.append(prediction.latent_loc.astype(np.float64))
        self._scene.append(place + self._scenes)
        self._slot.append(comparison.match_BN[place, row])
        for name in names_of(factors[0], self._entities):
            values = np.stack([np.asarray(scene[name]) for scene in factors])
            self._factors.setdefault(name, []).append(values[place, row - 1])
        self._scenes += len(comparison)

    def objects(self) -> Objects:
        """All objects that were added."""
        factors = {name: np.concatenate(parts) for name, parts in self._factors.items()}
        return Objects(np.concatenate(self._loc), np.concatenate(self._scene), np.concatenate(self._slot), factors)

    def _check_entities(self, comparison: Comparison, place: NDArray[np.int64], row: NDArray[np.int64]) -> None:
        beyond = np.flatnonzero(row > self._entities)
        if len(beyond):
            raise SchemaError(
                f"the mask of scene '{comparison.truth.keys[place[beyond[0]]]}' has entity {row[beyond[0]] - 1}, but "
                f"the data set has factors of {self._entities} entities: prepare it again"
            )


def names_of(factors: Mapping[str, Array], entities: int) -> list[str]:
    """Names of the factors with a row for each entity, sorted; whether an entity is visible is not one of them."""
    each = (name for name, values in factors.items() if np.shape(values)[:1] == (entities,))
    return sorted(name for name in each if name != VISIBILITY)


def _check_latents(prediction: PredictionBatch) -> None:
    loc_BKZ, scale_BKZ = prediction.latent_loc, prediction.latent_scale
    assert loc_BKZ is not None and scale_BKZ is not None
    fine_BKZ = np.isfinite(loc_BKZ) & np.isfinite(scale_BKZ) & (scale_BKZ > 0)
    for number, key in enumerate(prediction.keys):
        highest, slots = int(prediction.mask[number].max()), loc_BKZ.shape[1]
        if highest >= slots:
            raise SchemaError(
                f"the predicted mask of scene '{key}' has slot {highest}, but there are latents of {slots} slots, "
                "numbered from 0: rerun inference"
            )
        if not fine_BKZ[number].all():
            raise SchemaError(
                f"the latents of scene '{key}' are not finite, or a standard deviation is not above 0: rerun inference"
            )
