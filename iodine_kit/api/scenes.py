"""Batches of scenes that show themselves as a picture, and scenes from generators."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, overload

import numpy as np

from iodine_kit import records
from iodine_kit.api.arguments import argument, to_background
from iodine_kit.config import build
from iodine_kit.datasets import DATASETS, generate_scene
from iodine_kit.errors import ConfigError
from iodine_kit.formatting import counted
from iodine_kit.records import IGNORED, Scene

SHOWN = 12
"""Scenes in the picture of a batch."""


@dataclass(frozen=True, eq=False, repr=False)
class SceneBatch(records.SceneBatch):
    """Scenes as arrays; a notebook shows each image beside its true mask.

    Attributes:
        keys: name of each scene, unique within a split.
        image: ``uint8[B, H, W, 3]``, RGB.
        mask: ``uint8[B, H, W]``, the entity that owns each pixel.
        background: values of ``mask`` that are background.
        has_masks: whether there are masks; without them, ``mask`` is 0 everywhere and means nothing.
        ignored: value of ``mask`` in the pixels to ignore, which no metric counts; ``None`` if there are none.
    """

    background: tuple[int, ...] = (0,)
    ignored: int | None = None

    @classmethod
    def of(cls, scenes: Sequence[Scene], background: int | Sequence[int] = (0,)) -> SceneBatch:
        """Stack scenes of one size. This is also a ``collate_fn`` for PyTorch's ``DataLoader``.

        Raises:
            ValueError: if there is no scene, or scenes have different sizes.

        >>> batch = generate("tetrominoes", 3)
        >>> SceneBatch.of([batch[0], batch[2]])
        SceneBatch of 2 scenes, 35×35 pixels
        """
        if not scenes:
            raise ValueError("scenes: there is no scene to stack")
        first = scenes[0]
        for scene in scenes:
            if scene.mask.shape != first.mask.shape:
                sizes = f"'{first.key}' has {_size(first)} pixels, and '{scene.key}' {_size(scene)}"
                raise ValueError(f"scenes: {sizes}: resize them, or make one batch for each size")
        images, masks = np.stack([scene.image for scene in scenes]), np.stack([scene.mask for scene in scenes])
        masked = all(scene.has_mask for scene in scenes)
        ignored = IGNORED if any(scene.ignored for scene in scenes) else None
        keys = tuple(scene.key for scene in scenes)
        return cls(keys, images, masks, to_background(background), ignored, has_masks=masked)

    def scenes(self) -> list[Scene]:
        """Return the scenes one by one, without factors."""
        return [self[index] for index in range(len(self))]

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.scenes())

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> SceneBatch: ...
    def __getitem__(self, index: int | slice) -> Scene | SceneBatch:
        """Return a scene, without factors; for a slice such as ``batch[:4]`` a batch."""
        if isinstance(index, slice):
            arrays = self.keys[index], self.image[index], self.mask[index]
            return SceneBatch(*arrays, self.background, self.ignored, has_masks=self.has_masks)
        ignored = self.ignored == IGNORED
        return Scene(
            self.keys[index], self.image[index], self.mask[index], has_mask=self.has_masks, ignored=ignored
        )  # fmt: skip

    def __repr__(self) -> str:
        height, width = self.mask.shape[1:]
        return f"SceneBatch of {counted(len(self), 'scene')}, {height}×{width} pixels"

    def _repr_html_(self) -> str:
        return picture_html(self[:SHOWN], repr(self), len(self))


def _size(scene: Scene) -> str:
    height, width = scene.mask.shape
    return f"{height}×{width}"


def generate(dataset: str, count: int, /, *, seed: int = 0, split: str = "test", **options: Any) -> SceneBatch:
    """Generate scenes of a data set. ``ik.prepare`` with the same seed and options stores the same scenes.

    Args:
        dataset: name of a data set with a generator; ``iodine-kit datasets`` lists all.
        count: number of scenes.
        seed: of the generator, at least 0.
        split: name of the split; another split has other scenes.
        options: configuration of the data set, such as ``cell=2``; ``iodine-kit config dataset NAME`` lists all.

    Raises:
        ValueError: for an unknown data set, one without a generator, or an unknown option; the message names it.

    >>> batch = generate("tetrominoes", 8, seed=1, cell=2)
    >>> batch
    SceneBatch of 8 scenes, 14×14 pixels
    >>> batch.image.shape, int(batch.mask.max())
    ((8, 14, 14, 3), 3)
    """
    with argument("dataset"):
        plugin = DATASETS.load(dataset)
    if plugin.generate is None:
        raise ValueError(f"dataset: {dataset} has no generator: use ik.prepare to read its files")
    if count < 1:
        raise ValueError(f"count: at least one scene is needed (given: {count})")
    if seed < 0:
        raise ValueError(f"seed: it must be at least 0 (given: {seed})")
    try:
        config = build(plugin.Config, options, "options")
    except ConfigError as error:
        raise ValueError(str(error)) from error
    scenes = [generate_scene(plugin, config, seed, split, number) for number in range(count)]
    return SceneBatch.of(scenes, plugin.info(config).background)


def picture_html(scenes: SceneBatch, caption: str, total: int, content: str = "") -> str:
    """HTML with a picture of scenes, each image beside its mask if it has one.

    Args:
        scenes: the first scenes of ``total``.
        caption: text below the picture; ``content`` says what the picture shows. Defaults to the image and true mask.
    """
    content = content or ("image and true mask" if scenes.has_masks else "image")
    from iodine_kit.reporting.image_grid import contact_sheet

    if not len(scenes):
        return escape(caption)
    sheet = contact_sheet(scenes.scenes(), scenes.background, scenes.ignored)
    data = base64.b64encode(sheet).decode("ascii")
    shown = "" if len(scenes) == total else f"; the first {len(scenes)} are shown"
    text = escape(f"{caption}{shown}: {content}")
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'
