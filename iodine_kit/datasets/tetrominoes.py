"""Tetrominoes (multi_object_datasets, Kabra et al. 2019): three pieces on black, 35×35 pixels."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from iodine_kit import config as configuration
from iodine_kit.datasets._tetromino_pieces import COLOURS, NAMES, brightness, obeys, silhouette
from iodine_kit.datasets._tetromino_pieces import ColourName as ColourName
from iodine_kit.datasets._tetromino_pieces import Holdout as Holdout
from iodine_kit.datasets._tetromino_pieces import held_out_rows as held_out_rows
from iodine_kit.datasets._tetromino_pieces import related_rows as related_rows
from iodine_kit.records import Array, Bytes, DatasetInfo, Scene
from iodine_kit.tfrecord import FieldSpec

VERSION = 1
SUMMARY = "three tetromino pieces in six colours on black, 35×35; published file or exact generator"
PREPROCESS: dict[str, object] = {}
PUBLISHED_KEYS: tuple[str, ...] = ()
CITATION = "Kabra et al., Multi-Object Datasets, github.com/google-deepmind/multi_object_datasets, 2019"
LICENCE = "Apache-2.0"

_ENTITIES = 4
SCHEMAS = {
    "tetrominoes": {
        "image": FieldSpec(np.uint8, (35, 35, 3)),
        "mask": FieldSpec(np.uint8, (_ENTITIES, 35, 35, 1)),
        "x": FieldSpec(np.float32, (_ENTITIES,)),
        "y": FieldSpec(np.float32, (_ENTITIES,)),
        "shape": FieldSpec(np.float32, (_ENTITIES,)),
        "color": FieldSpec(np.float32, (_ENTITIES, 3)),
        "visibility": FieldSpec(np.float32, (_ENTITIES,)),
    }
}


class Config(configuration.Config):
    """What a generated data set looks like; the defaults are the published data set's.

    Attributes:
        cell: side of a cell in pixels; the side of the image is 7 cells. Published: 5.
        pieces: number of pieces per scene. Published: 3.
        holdout: combinations of shape and colour that only some splits have. Defaults to none, as published.
    """

    cell: Annotated[int, Field(ge=1, le=32)] = 5
    pieces: Annotated[int, Field(ge=1, le=6)] = 3
    holdout: Holdout | None = None

    @model_serializer(mode="wrap")
    def _omit_missing_holdout(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit ``holdout`` if there is none, so that data sets without it keep their keys."""
        values: dict[str, Any] = serialize(self)
        return {name: value for name, value in values.items() if name != "holdout" or value is not None}


def info(config: Config) -> DatasetInfo:
    """Facts that hold for every scene."""
    size = 7 * config.cell
    classes = {"shape": NAMES}
    return DatasetInfo("tetrominoes", size, size, config.pieces + 1, (0,), classes, CITATION, LICENCE)


def fields(config: Config) -> dict[str, FieldSpec]:
    """The features of the published file."""
    return SCHEMAS["tetrominoes"]


def splits(config: Config) -> dict[str, int]:
    """The usual splits: the first scenes of the published file."""
    return {"train": 60_000, "val": 320, "test": 320}


def urls(config: Config) -> tuple[str, ...]:
    """The address of the published file."""
    return ("https://storage.googleapis.com/multi-object-datasets/tetrominoes/tetrominoes_train.tfrecords",)


def generate(config: Config, rng: np.random.Generator, key: str) -> Scene:
    """Sample one scene like the published ones: uniform shapes, colours and pixel positions, without overlaps.

    A sample is rejected if pieces overlap, or if ``config.holdout`` does not allow its pieces in the split of ``key``.
    """
    size = 7 * config.cell
    while True:
        shapes = rng.integers(1, len(NAMES), config.pieces)
        extents = np.array([silhouette(int(shape), config.cell).shape for shape in shapes])
        corners = rng.integers(0, size - extents + 1)
        kinds = rng.integers(0, len(COLOURS), config.pieces)
        if config.holdout and not obeys(config.holdout, shapes, kinds, key):
            continue
        colours = np.array([COLOURS[i] for i in kinds])
        image, mask = draw(shapes, corners[:, 0], corners[:, 1], colours, cell=config.cell)
        if np.count_nonzero(mask) == 4 * config.pieces * config.cell**2:
            break
    pieces = {"shape": shapes, "x": corners[:, 0], "y": corners[:, 1], "color": colours}
    factors = {name: np.concatenate([0 * value[:1], value]).astype(np.float32) for name, value in pieces.items()}
    factors["visibility"] = np.ones(config.pieces + 1, np.float32)
    return Scene(key, image, mask, factors)


def draw(shape: Array, x: Array, y: Array, color: Array, *, cell: int = 5) -> tuple[Bytes, Bytes]:
    """Draw pieces from their factors: image ``uint8[S, S, 3]`` and mask ``uint8[S, S]``, with S = 7 ``cell``.

    Args:
        shape: ids ``int[n]``, without the row of the background.
        x, y: row and column of the top left pixel of the bounding box, ``int[n]``; ``x`` is the row, as published.
        color: RGB in 0/1, ``[n, 3]``.
        cell: side of a cell in pixels.
    """
    size = 7 * cell
    image, mask = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    for index, (kind, top, left, colour) in enumerate(zip(shape, x, y, color, strict=True), start=1):
        inside = silhouette(int(kind), cell).astype(bool)
        place = np.s_[int(top) : int(top) + inside.shape[0], int(left) : int(left) + inside.shape[1]]
        image[place][inside] = brightness(int(kind), cell)[inside][:, None] * colour.astype(np.uint8)
        mask[place][inside] = index
    return image, mask
