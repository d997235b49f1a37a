"""CATER with masks (multi_object_datasets, Kabra et al. 2019; Girdhar & Ramanan 2020): frames of videos, 64×64."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.records import DatasetInfo
from iodine_kit.tfrecord import FieldSpec

VERSION = 1
SUMMARY = "frames of videos of moving CLEVR-like objects, 64×64; published files"
PREPROCESS: dict[str, object] = {}
PUBLISHED_KEYS = ("part",)
CITATION = "Kabra et al., Multi-Object Datasets, github.com/google-deepmind/multi_object_datasets, 2019"
LICENCE = "Apache-2.0"

_FRAMES, _ENTITIES, _FILES = 33, 11, 100
SCHEMAS = {
    "cater": {
        "image": FieldSpec(np.uint8, (_FRAMES, 64, 64, 3)),
        "mask": FieldSpec(np.uint8, (_FRAMES, _ENTITIES, 64, 64, 1)),
        "camera_matrix": FieldSpec(np.float32, (_FRAMES, 4, 4)),
        "object_positions": FieldSpec(np.float32, (_ENTITIES, _FRAMES, 3)),
    }
}
generate = None


class Config(configuration.Config):
    """Selects among the published files.

    Attributes:
        part: published files: ``train`` (39,364 videos) or ``test`` (17,100 videos).
    """

    part: Literal["train", "test"] = "train"


def info(config: Config) -> DatasetInfo:
    """Facts that hold for every scene, which is a frame; a record, which splits count, is a video of 33 frames."""
    return DatasetInfo("cater", 64, 64, _ENTITIES, (0,), {}, CITATION, LICENCE)


def fields(config: Config) -> dict[str, FieldSpec]:
    """The features of the published files."""
    return SCHEMAS["cater"]


def splits(config: Config) -> dict[str, int]:
    """The usual split: all videos of the published files."""
    return {"train": 39_364} if config.part == "train" else {"test": 17_100}


def urls(config: Config) -> tuple[str, ...]:
    """The addresses of the 100 files."""
    folder = "https://storage.googleapis.com/multi-object-datasets/cater_with_masks"
    names = (f"cater_with_masks_{config.part}.tfrecords-{number:05d}-of-{_FILES:05d}" for number in range(_FILES))
    return tuple(f"{folder}/{name}" for name in names)
