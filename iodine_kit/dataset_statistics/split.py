"""The statistics of a split."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.dataset_statistics.distribution import Distribution
from iodine_kit.dataset_statistics.factors import VISIBILITY, Factor, FactorCounts
from iodine_kit.dataset_statistics.tally import Tally
from iodine_kit.records import Bytes, Scene

_INDICES = 256


@dataclass(frozen=True)
class SplitStatistics:
    """What the scenes of a split hold.

    Attributes:
        objects_per_scene: as factors or masks say; see :func:`iodine_kit.preprocessing.count_objects`.
        without_objects: scenes of which that number is 0.
        unseen_objects: objects that factors call visible and that own no pixel, so they were hidden or cropped away.
        pixels_per_object: of the objects that own any; ``share_per_object`` is the same as a share of the image.
        background_share: share of the image's pixels that belong to the background, over scenes.
        at_border: objects with a pixel in the image's first or last row or column, which may be cut off there.
        channels: red, green and blue values, 0…255, over all pixels.
        factors: of visible objects, by name.
    """

    scenes: int
    objects_per_scene: Distribution
    without_objects: int
    unseen_objects: int
    pixels_per_object: Distribution
    share_per_object: Distribution
    background_share: Distribution
    at_border: int
    channels: tuple[Distribution, ...]
    factors: Mapping[str, Factor]


class SplitCounts:
    """Counts one scene after the other."""

    def __init__(self, background: Collection[int], classes: Mapping[str, Sequence[str]]) -> None:
        """``background`` are mask indices that are no object; ``classes`` names values of categorical factors."""
        self._background = sorted(background)
        self._pixels = 0
        self._objects, self._areas, self._backdrop = Tally(), Tally(), Tally()
        self._channels = tuple(Tally() for _ in range(3))
        self._factors = FactorCounts(classes)
        self._unseen, self._at_border = 0, 0

    def add(self, scene: Scene, objects: int) -> None:
        """Count in a scene of so many objects; all have the same size."""
        self._pixels = scene.mask.size
        areas = np.bincount(scene.mask.ravel(), minlength=_INDICES)
        backdrop = int(areas[self._background].sum())
        areas[self._background] = 0
        self._objects.add([objects])
        self._areas.add(areas[areas > 0])
        self._backdrop.add([backdrop])
        self._at_border += int(np.count_nonzero(np.isin(np.flatnonzero(areas), _border(scene.mask))))
        visible = self._visible(scene, areas)
        self._unseen += int(np.count_nonzero(visible & (areas[: len(visible)] == 0)))
        self._factors.add(scene, visible)
        for channel, values in zip(self._channels, np.moveaxis(scene.image, -1, 0), strict=True):
            channel.add(values.ravel())

    def merge(self, other: SplitCounts) -> None:
        """Count in what another one counted."""
        self._pixels = self._pixels or other._pixels
        self._objects.merge(other._objects)
        self._areas.merge(other._areas)
        self._backdrop.merge(other._backdrop)
        self._factors.merge(other._factors)
        self._unseen += other._unseen
        self._at_border += other._at_border
        for mine, theirs in zip(self._channels, other._channels, strict=True):
            mine.merge(theirs)

    def statistics(self) -> SplitStatistics:
        """All that was counted, in short."""
        areas, objects = self._areas.distribution(), self._objects.distribution()
        part = 1 / max(self._pixels, 1)
        return SplitStatistics(
            scenes=objects.n,
            objects_per_scene=objects,
            without_objects=int(self._objects.counts[:1].sum()),
            unseen_objects=self._unseen,
            pixels_per_object=areas,
            share_per_object=areas.scaled(part),
            background_share=self._backdrop.distribution().scaled(part),
            at_border=self._at_border,
            channels=tuple(channel.distribution() for channel in self._channels),
            factors=self._factors.factors(),
        )

    def _visible(self, scene: Scene, areas: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which entities are visible objects, ``bool[N]``: by their factors, or else because they own a pixel."""
        visibility = scene.factors.get(VISIBILITY)
        if visibility is None:
            rows = max((len(values) for values in scene.factors.values() if values.ndim), default=0)
            visible = np.pad(areas > 0, (0, max(rows - len(areas), 0)))[:rows]
        else:
            visible = visibility.reshape(len(visibility), -1).max(1) > 0
        visible[[index for index in self._background if index < len(visible)]] = False
        return visible


def _border(mask: Bytes) -> Bytes:
    """The indices in the first and last row and column."""
    found: Bytes = np.unique(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]))
    return found
