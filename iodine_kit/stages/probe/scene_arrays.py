"""What a probe needs of scenes, as arrays that can be stored: objects with their factors, slots, and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from iodine_kit.artifacts.predictions_and_truth import Pairs, batch_size
from iodine_kit.records import Array, PredictionBatch, SceneBatch

if TYPE_CHECKING:
    from iodine_kit.evaluation.probing.objects import Objects
    from iodine_kit.evaluation.probing.prediction import FoldPredicted
    from iodine_kit.evaluation.probing.slots import SlotTable

LATENTS = {"latent_loc", "latent_scale"}
BatchT = TypeVar("BatchT", SceneBatch, PredictionBatch)


def gather(pairs: Pairs, scenes: range) -> dict[str, Array]:
    """The objects and slots of some scenes, which may be joined with those of others along the first axis."""
    from iodine_kit.evaluation.probing.objects import ObjectCollector
    from iodine_kit.evaluation.probing.slots import slot_table

    collector = ObjectCollector(pairs.info.entities, pairs.info.background, pairs.info.ignored, scenes.start)
    tables, done = [], scenes.start
    for truth, prediction in pairs.batches(batch_size(pairs.info.height * pairs.info.width), LATENTS, scenes):
        factors = [pairs.scenes.scene(place).factors for place in range(done, done + len(truth))]
        collector.add(truth, prediction, factors)
        tables.append(slot_table(prediction))
        done += len(truth)
    objects = collector.objects()
    return {
        "loc": objects.loc_NKZ,
        "scene": objects.scene_M,
        "slot": objects.slot_M,
        **{f"factor/{name}": values for name, values in objects.factors.items()},
        "kl": np.concatenate([table.kl_NK for table in tables]),
        "owned": np.concatenate([table.owned_NK for table in tables]),
    }


def objects_of(arrays: Mapping[str, Array]) -> Objects:
    """The objects that were gathered from all scenes."""
    from iodine_kit.evaluation.probing.objects import Objects

    return Objects(arrays["loc"], arrays["scene"], arrays["slot"], _below(arrays, "factor"))


def slots_of(arrays: Mapping[str, Array]) -> SlotTable:
    """The slots that were gathered from all scenes."""
    from iodine_kit.evaluation.probing.slots import SlotTable

    return SlotTable(arrays["kl"], arrays["owned"])


def as_arrays(predicted: FoldPredicted) -> dict[str, Array]:
    """The predictions of a fold."""
    values = {f"value/{name}": value for name, value in predicted.values.items()}
    return {"slot": predicted.slot_R, "importance": predicted.importance_ZF, **values}


def from_arrays(arrays: Mapping[str, Array]) -> FoldPredicted:
    """Undo :func:`as_arrays`."""
    from iodine_kit.evaluation.probing.prediction import FoldPredicted

    return FoldPredicted(_below(arrays, "value"), arrays["slot"], arrays["importance"])


def _below(arrays: Mapping[str, Array], group: str) -> dict[str, Any]:
    """Arrays of a group, in their order."""
    return {name.removeprefix(f"{group}/"): value for name, value in arrays.items() if name.startswith(f"{group}/")}
