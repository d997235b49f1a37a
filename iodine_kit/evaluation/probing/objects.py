"""Visible objects with their factors, and the slots of their scenes.

Only rows that are real are counted. Data sets pad scenes to one number of entities. A score over all rows that takes
the error of absent ones as 0, as the released evaluation of IODINE does, counts each of them as told perfectly; one
whose probe is trained on absent ones too is praised for telling an empty slot from one that holds something. Either is
far from 0 for latents that know nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.dataset_statistics.factors import VISIBILITY
from iodine_kit.errors import SchemaError
from iodine_kit.metrics import Comparison
from iodine_kit.records import Array, PredictionBatch


@dataclass(frozen=True, eq=False)
class Objects:
    """M visible objects in N scenes of K slots with Z latent dimensions.

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


class Gathering:
    """Gathers objects batch by batch."""

    def __init__(self, entities: int) -> None:
        """``entities`` of a scene, background included: a factor has a row for each of them."""
        self._entities = entities
        self._scenes = 0
        self._loc: list[NDArray[np.float64]] = []
        self._scene: list[NDArray[np.int64]] = []
        self._slot: list[NDArray[np.int64]] = []
        self._factors: dict[str, list[Array]] = {}

    def add(self, comparison: Comparison, factors: Sequence[Mapping[str, Array]]) -> None:
        """Add a batch whose latents were stored; ``factors`` are those of its scenes.

        Raises:
            SchemaError: if a true mask names an entity that has no row of factors, a predicted one a slot that has no
                latents, or latents are not finite or their deviations not above 0.
        """
        loc_BKZ = comparison.prediction.latent_loc
        assert loc_BKZ is not None
        place, row = np.nonzero(comparison.objects_BN)
        self._check_entities(comparison, place, row)
        _check_slots(comparison.prediction)
        self._loc.append(loc_BKZ.astype(np.float64))
        self._scene.append(place + self._scenes)
        self._slot.append(comparison.match_BN[place, row])
        for name in names_of(factors[0], self._entities):
            values = np.stack([np.asarray(scene[name]) for scene in factors])
            self._factors.setdefault(name, []).append(values[place, row - 1])
        self._scenes += len(comparison)

    def objects(self) -> Objects:
        """All that was added."""
        factors = {name: np.concatenate(parts) for name, parts in self._factors.items()}
        return Objects(np.concatenate(self._loc), np.concatenate(self._scene), np.concatenate(self._slot), factors)

    def _check_entities(self, comparison: Comparison, place: NDArray[np.int64], row: NDArray[np.int64]) -> None:
        beyond = np.flatnonzero(row > self._entities)
        if len(beyond):
            raise SchemaError(
                f"the mask of scene '{comparison.truth.keys[place[beyond[0]]]}' names entity {row[beyond[0]] - 1}, and "
                f"the data set has factors of {self._entities} entities: prepare it anew"
            )


def names_of(factors: Mapping[str, Array], entities: int) -> list[str]:
    """The factors of objects, sorted; what has no row for each entity is none, nor is whether an entity is there."""
    each = (name for name, values in factors.items() if np.shape(values)[:1] == (entities,))
    return sorted(name for name in each if name != VISIBILITY)


def _check_slots(prediction: PredictionBatch) -> None:
    loc_BKZ, scale_BKZ = prediction.latent_loc, prediction.latent_scale
    assert loc_BKZ is not None and scale_BKZ is not None
    fine_BKZ = np.isfinite(loc_BKZ) & np.isfinite(scale_BKZ) & (scale_BKZ > 0)
    for number, key in enumerate(prediction.keys):
        if prediction.mask[number].max() >= loc_BKZ.shape[1]:
            told = (
                f"names slot {prediction.mask[number].max()}, and there are latents of {loc_BKZ.shape[1]} slots, from 0"
            )
            raise SchemaError(f"the predicted mask of scene '{key}' {told}: infer anew")
        if not fine_BKZ[number].all():
            raise SchemaError(f"latents of scene '{key}' are not finite, or a deviation is not above 0: infer anew")
