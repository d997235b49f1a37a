"""CLEVR with masks (multi_object_datasets, Kabra et al. 2019; Johnson et al. 2017): 3 to 10 solids on a table."""

from __future__ import annotations

import os
import threading
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from iodine_kit import config as configuration
from iodine_kit.datasets import THREADS
from iodine_kit.datasets._clevr_blender.client import Renderer, find_python
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.tfrecord import FieldSpec

VERSION = 1
SUMMARY = "3 to 10 solids on a table, 240×320; published with masks, without, or rendered by Blender"
PREPROCESS = {"crop": "iodine", "size": 128}
PUBLISHED_KEYS: tuple[str, ...] = ()
CITATION = "Johnson et al., CLEVR: A Diagnostic Dataset, CVPR 2017; masks: Kabra et al., Multi-Object Datasets, 2019"
LICENCE = "CC-BY-4.0 (CLEVR); Apache-2.0 (masks)"

SIZES = ("none", "large", "small")
SHAPES = ("none", "sphere", "cylinder", "cube")
MATERIALS = ("none", "rubber", "metal")
COLOURS = ("none", "red", "cyan", "green", "blue", "brown", "gray", "purple", "yellow")
"""Names of the published ids: the id of a name is its index; 0 stands for background and padding."""

_ENTITIES = 11
SCHEMAS = {
    "clevr": {
        "image": FieldSpec(np.uint8, (240, 320, 3)),
        "mask": FieldSpec(np.uint8, (_ENTITIES, 240, 320, 1)),
        "x": FieldSpec(np.float32, (_ENTITIES,)),
        "y": FieldSpec(np.float32, (_ENTITIES,)),
        "z": FieldSpec(np.float32, (_ENTITIES,)),
        "rotation": FieldSpec(np.float32, (_ENTITIES,)),
        "visibility": FieldSpec(np.float32, (_ENTITIES,)),
        "pixel_coords": FieldSpec(np.float32, (_ENTITIES, 3)),
        "size": FieldSpec(np.uint8, (_ENTITIES,)),
        "material": FieldSpec(np.uint8, (_ENTITIES,)),
        "shape": FieldSpec(np.uint8, (_ENTITIES,)),
        "color": FieldSpec(np.uint8, (_ENTITIES,)),
    }
}

Size = Literal["large", "small"]
Material = Literal["rubber", "metal"]
Shape = Literal["sphere", "cylinder", "cube"]
Colour = Literal["red", "cyan", "green", "blue", "brown", "gray", "purple", "yellow"]


class Config(configuration.Config):
    """How to render scenes (with ``--generate``); these options do not apply to published scenes.

    Attributes:
        min_objects: smallest number of objects; every number in the range is equally likely. Published: 3.
        max_objects: largest number of objects. Published: 10.
        view: ``crop`` renders the part of the view that IODINE uses; ``full`` renders 240×320 pixels.
        size: side of the crop in pixels.
        sizes: sizes of objects to draw from. Defaults to all published ones.
        materials: materials of objects to draw from. Defaults to all published ones.
        shapes: shapes of objects to draw from. Defaults to all published ones.
        colors: colors of objects to draw from. Defaults to all published ones.
        samples: light paths per pixel. Published: 512; with the denoiser, 16 look the same.
        denoise: whether to remove the noise of few samples.
        jitter: whether camera and lamps move a little from scene to scene, as published.
        device: ``cpu`` or ``gpu``; the noise of the pictures depends on it.
    """

    min_objects: Annotated[int, Field(ge=1, le=20)] = 3
    max_objects: Annotated[int, Field(ge=1, le=20)] = 10
    view: Literal["crop", "full"] = "crop"
    size: Annotated[int, Field(ge=16, le=1024)] = 128
    sizes: tuple[Size, ...] = ()
    materials: tuple[Material, ...] = ()
    shapes: tuple[Shape, ...] = ()
    colors: tuple[Colour, ...] = ()
    samples: Annotated[int, Field(ge=1, le=4096)] = 16
    denoise: bool = True
    jitter: bool = True
    device: Literal["cpu", "gpu"] = "cpu"

    @model_validator(mode="after")
    def _is_a_range(self) -> Config:
        if self.min_objects > self.max_objects:
            raise ValueError(f"min_objects {self.min_objects} is greater than max_objects {self.max_objects}")
        return self


def info(config: Config) -> DatasetInfo:
    """Facts that hold for every scene as published."""
    classes = {"size": SIZES, "material": MATERIALS, "shape": SHAPES, "color": COLOURS}
    entities = max(_ENTITIES, config.max_objects + 1)
    return DatasetInfo("clevr", 240, 320, entities, (0,), classes, CITATION, LICENCE)


def fields(config: Config) -> dict[str, FieldSpec]:
    """The features of the published file."""
    return SCHEMAS["clevr"]


def splits(config: Config) -> dict[str, int]:
    """The usual splits: all scenes of the published file, divided like CLEVR itself."""
    return {"train": 70_000, "val": 15_000, "test": 15_000}


def urls(config: Config) -> tuple[str, ...]:
    """The address of the published file."""
    return ("https://storage.googleapis.com/multi-object-datasets/clevr_with_masks/clevr_with_masks_train.tfrecords",)


def generate(config: Config, rng: np.random.Generator, key: str) -> Scene:
    """Place and render one scene like the published generator, in another process: see ``_clevr_blender``."""
    settings = config.model_dump(mode="json") | {"threads": int(os.environ.get(THREADS, 0))}
    arrays = _renderer().render(int(rng.integers(2**63)), settings)
    return Scene(key, arrays.pop("image"), arrays.pop("mask"), arrays)


def require(config: Config) -> tuple[int, int]:
    """Height and width of rendered images; raises :class:`iodine_kit.errors.SourceError` if there is no Blender."""
    find_python()
    return (config.size, config.size) if config.view == "crop" else (240, 320)


def made_with(config: Config) -> dict[str, str]:
    """The version of Blender: images of different versions differ slightly (PSNR 44 to 48 dB between 4.2 and 5.0)."""
    with Renderer(find_python()) as renderer:
        return renderer.versions()


_kept = threading.local()


def _renderer() -> Renderer:
    """One renderer per thread, because starting Blender takes as long as rendering a scene."""
    if not hasattr(_kept, "renderer"):
        _kept.renderer = Renderer(find_python())
    renderer: Renderer = _kept.renderer
    return renderer
