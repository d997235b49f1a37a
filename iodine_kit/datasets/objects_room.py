"""Objects Room (multi_object_datasets, Kabra et al. 2019; Burgess et al. 2019): coloured shapes in a room, 64×64."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.records import DatasetInfo
from iodine_kit.tfrecord import FieldSpec

VERSION = 1
SUMMARY = "one to six shapes in a room, 64×64; published files: train and three tests of generalisation"
SPLITS = {"train": 60_000, "val": 320, "test": 320}
PREPROCESS: dict[str, object] = {}
PUBLISHED_KEYS = ("part",)
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


class Config(configuration.Config):
    """Which of the published files.

    Attributes:
        part: ``train`` (1,000,000 scenes), or a test of 922: ``empty_room``, ``identical_color``, ``six_objects``.
    """

    part: Part = "train"


def info(config: Config) -> DatasetInfo:
    """What is true of every scene: sky, floor and two pieces of wall are background."""
    return DatasetInfo("objects-room", 64, 64, _ENTITIES[config.part], (0, 1, 2, 3), {}, CITATION, LICENCE)


def fields(config: Config) -> dict[str, FieldSpec]:
    """The features of the published file."""
    return SCHEMAS[f"objects-room {config.part}"]


def urls(config: Config) -> tuple[str, ...]:
    """The address of the published file."""
    name = "train" if config.part == "train" else f"test_{config.part}"
    return (f"https://storage.googleapis.com/multi-object-datasets/objects_room/objects_room_{name}.tfrecords",)
