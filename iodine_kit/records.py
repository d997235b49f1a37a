"""The records that flow between stages: scenes, and what a model infers for them. NumPy only.

Shapes: H, W image height and width; N entities of a scene including the background; K slots of a model; T refinement
steps; Z latent dimensions per slot; B scenes of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Array = NDArray[Any]


IGNORED = 255
"""Mask index of the pixels to ignore, in data sets that have such pixels: nobody knows which entity they belong to."""

IN_ALL = "in all records, "
"""A remark that begins so is reported only if every scene has it: what an option had no effect on."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One image with its ground-truth segmentation and generative factors.

    ``has_mask``, ``ignored`` and ``remarks`` come from the layout that reads a source. Storage formats do not keep them
    for each scene: the facts of the data set say what is true of its scenes.

    Attributes:
        key: unique name within its split, without control characters: a number, or the path of the picture below its
            source, without suffix.
        image: ``uint8[H, W, 3]``, RGB in 0…255.
        mask: ``uint8[H, W]``, the index of the entity that each pixel belongs to; 0 is the background.
        factors: by name, an array ``[N, …]`` with one row per entity, in the order of the indices in the mask.
        has_mask: whether the source has a mask; without one, ``mask`` is 0 everywhere and means nothing.
        ignored: whether :data:`IGNORED` in this mask means pixels to ignore, not an entity.
        remarks: what a user should know about this scene. The same text is reported once, with the number of scenes.
    """

    key: str
    image: Bytes
    mask: Bytes
    factors: Mapping[str, Array] = field(default_factory=dict)
    has_mask: bool = True
    ignored: bool = False
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"{self.key}: image is {self.image.dtype}{self.image.shape}, not uint8[H, W, 3]")
        if self.mask.dtype != np.uint8 or self.mask.shape != self.image.shape[:2]:
            raise ValueError(f"{self.key}: mask is {self.mask.dtype}{self.mask.shape}, not uint8[H, W] of the image")


@dataclass(frozen=True, eq=False)
class SceneBatch:
    """A batch of scenes: ``image uint8[B, H, W, 3]``, ``mask uint8[B, H, W]``, and their keys.

    Without masks, ``has_masks`` is false, and ``mask`` is 0 everywhere and means nothing.
    """

    keys: tuple[str, ...]
    image: Bytes
    mask: Bytes
    has_masks: bool = field(default=True, kw_only=True)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False)
class PredictionBatch:
    """Predictions of a model for a batch of scenes; a field that was not stored is ``None``.

    Attributes:
        keys: the scenes' keys, in order.
        mask: ``uint8[B, H, W]``, the slot with the largest mask at each pixel after the last step.
        step_mask: ``uint8[B, T+1, H, W]``, the same at every decode.
        soft_mask: ``float[B, K, H, W]``, which sums to 1 over slots.
        component: ``uint8[B, K, H, W, 3]``, the RGB means of each slot, clipped for display.
        reconstruction: ``float32[B, H, W, 3]``, the mean of the mixture, in units of the image's [0, 1], not clipped.
        latent_loc, latent_scale: ``float32[B, K, Z]``, posterior mean and standard deviation.
        elbo: ``float32[B, T+1]`` in nats per image, at every decode; ``nll`` and ``kl`` are its two terms.
    """

    keys: tuple[str, ...]
    mask: Bytes
    step_mask: Bytes | None = None
    soft_mask: Array | None = None
    component: Bytes | None = None
    reconstruction: Floats | None = None
    latent_loc: Floats | None = None
    latent_scale: Floats | None = None
    elbo: Floats | None = None
    nll: Floats | None = None
    kl: Floats | None = None


@dataclass(frozen=True)
class Microbatch:
    """The images of a training step's batch that one rank processes at once.

    Attributes:
        first: index of its first image in the whole batch.
        count: number of its images.
        total: number of images in the whole batch.
    """

    first: int
    count: int
    total: int


@dataclass(frozen=True)
class DatasetInfo:
    """Facts that hold for every scene of a data set.

    Attributes:
        dataset: plug-in name.
        height, width: size of the images in pixels.
        entities: largest number of entities in a scene, background included.
        background: mask indices of the background, which foreground metrics ignore.
        classes: names of the values of categorical factors, by factor.
        citation, licence: citation and licence of the data.
        ignored: mask index of the pixels to ignore, which no metric counts; ``None`` if there are none.
    """

    dataset: str
    height: int
    width: int
    entities: int
    background: tuple[int, ...] = (0,)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    citation: str = ""
    licence: str = ""
    ignored: int | None = None
