"""Objects Room (multi_object_datasets, Kabra et al. 2019; Burgess et al. 2019): coloured shapes in a room, 64×64."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit import config as configuration
from iodine_kit.records import Bytes, DatasetInfo, Scene
from iodine_kit.tfrecord import FieldSpec

VERSION = 1
SUMMARY = "one to six shapes in a room, 64×64; published files: train and three tests of generalisation"
PREPROCESS: dict[str, object] = {}
PUBLISHED_KEYS = ("part", "repair_background")
CITATION = "Kabra et al., Multi-Object Datasets, github.com/google-deepmind/multi_object_datasets, 2019"
LICENCE = "Apache-2.0"

Part = Literal["train", "empty_room", "identical_color", "six_objects"]
_ENTITIES: dict[Part, int] = {"train": 7, "empty_room": 4, "identical_color": 10, "six_objects": 10}
SCHEMAS = {
    f"objects-room {part}": {
        "image": FieldSpec(np.uint8, (64, 64, 3)),
        "mask": FieldSpec(np.uint8, (entities, 64, 64, 1)),
    }
    for part, entities in _ENTITIES.items()
}
generate = None

_SKY_AND_FLOOR, _WALL, _DOUBTFUL = 2, 2, 3
_CONTACT = 3
"""Length in pixels from which a common border is not a coincidence."""


class Config(configuration.Config):
    """Selects among the published files.

    Attributes:
        part: published file: ``train`` (1,000,000 scenes), or a test set of 922 scenes: ``empty_room``,
            ``identical_color`` or ``six_objects``.
        repair_background: whether to repair rooms that show one wall only, whose objects start at index 3 instead of 4:
            move the objects to their indices, as far as the mask allows.
    """

    part: Part = "train"
    repair_background: bool = False


def info(config: Config) -> DatasetInfo:
    """Facts that hold for every scene: sky, floor and two walls are background."""
    return DatasetInfo("objects-room", 64, 64, _ENTITIES[config.part], (0, 1, 2, 3), {}, CITATION, LICENCE)


def fields(config: Config) -> dict[str, FieldSpec]:
    """The features of the published file."""
    return SCHEMAS[f"objects-room {config.part}"]


def splits(config: Config) -> dict[str, int]:
    """The usual splits: the first scenes of the large file, or all scenes of a test set."""
    return {"train": 60_000, "val": 320, "test": 320} if config.part == "train" else {"test": 922}


def urls(config: Config) -> tuple[str, ...]:
    """The address of the published file."""
    name = "train" if config.part == "train" else f"test_{config.part}"
    return (f"https://storage.googleapis.com/multi-object-datasets/objects_room/objects_room_{name}.tfrecords",)


def repair(config: Config, scene: Scene) -> Scene:
    """Return the scene with its objects at index 4 and above, if its mask ``uint8[H, W]`` has them from index 3 on.

    The data set does not record this, so the geometry decides: the two walls of a room meet in a vertical edge and
    reach the sides of the image. An entity above or below a wall, or between sky and floor without reaching a side, is
    therefore an object. If the mask contains the last index, no wall is missing.
    """
    taken = scene.mask.max() >= _ENTITIES[config.part] - 1
    if not config.repair_background or taken or not _is_object(scene.mask == _DOUBTFUL, scene.mask):
        return scene
    mask = scene.mask + (scene.mask >= _DOUBTFUL).astype(np.uint8)
    return replace(scene, mask=mask)


def _is_object(doubtful: NDArray[np.bool_], mask: Bytes) -> bool:
    """Whether the entity at index 3 is an object, because it cannot be a wall."""
    wall, open_space = mask == _WALL, mask < _SKY_AND_FLOOR
    above = np.count_nonzero((wall[:-1] & doubtful[1:]).any(0))
    below = np.count_nonzero((wall[1:] & doubtful[:-1]).any(0))
    left = np.count_nonzero((open_space[:, :-1] & doubtful[:, 1:]).any(1)) >= _CONTACT
    right = np.count_nonzero((open_space[:, 1:] & doubtful[:, :-1]).any(1)) >= _CONTACT
    reaches_left, reaches_right = doubtful[:, 0].any(), doubtful[:, -1].any()
    free = (left and right) or (left and not reaches_right) or (right and not reaches_left)
    return bool(max(above, below) >= _CONTACT or free)
