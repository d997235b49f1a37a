"""Statistics of the scenes, objects and factors of a split."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.dataset_statistics.binned import BinnedCounts
from iodine_kit.dataset_statistics.distribution import Distribution, IntegerCounts
from iodine_kit.records import Array, Bytes, Scene

VISIBILITY = "visibility"
UNNAMED = "(no name)"
"""The label of values that are not the number of a class."""
_INDICES = 256


@dataclass(frozen=True)
class Factor:
    """A factor of visible objects: either categorical or numeric.

    Attributes:
        classes: number of objects by class, including classes that do not occur; empty for a numeric factor.
        components: the distribution of each component: one for a scalar, several for a vector.
    """

    classes: Mapping[str, int]
    components: tuple[Distribution, ...] = ()


@dataclass(frozen=True)
class SplitStatistics:
    """Statistics of the scenes of a split.

    Attributes:
        scenes: all of them; those without masks count only in the numbers of scenes, channels and factors.
        objects_per_scene: according to factors or masks; see :func:`iodine_kit.preprocessing.count_objects`.
        without_objects: number of scenes without objects; ``None`` if no scene states its number of objects.
        unseen_objects: objects that are visible according to the factors but own no pixel: occluded or cropped away.
        pixels_per_object: of the objects that own any pixel; ``share_per_object`` is the same, as a share of the image.
        background_share: share of a scene's pixels that belong to the background.
        at_border: number of objects with a pixel in the first or last row or column, which may be cut off there.
        channels: red, green and blue values, 0…255, of all pixels.
        factors: of visible objects, by name.
        ignored_share: share of a scene's pixels that are ignored; ``None`` if the data set has no such pixels. They are
            neither object nor background.
    """

    scenes: int
    objects_per_scene: Distribution
    without_objects: int | None
    unseen_objects: int
    pixels_per_object: Distribution
    share_per_object: Distribution
    background_share: Distribution
    at_border: int
    channels: tuple[Distribution, ...]
    factors: Mapping[str, Factor]
    ignored_share: Distribution | None = None


class SplitCounts:
    """Collects the statistics of a split, scene by scene."""

    def __init__(
        self, background: Collection[int], classes: Mapping[str, Sequence[str]], ignored: int | None = None
    ) -> None:
        """Start without scenes.

        Args:
            background: mask indices that are not objects.
            classes: names of the values of categorical factors, by factor.
            ignored: mask index of the pixels to ignore; ``None`` if there are none.
        """
        self._ignored, self._unlabelled = ignored, IntegerCounts()
        self._background = sorted(background)
        self._pixels, self._scenes = 0, 0
        self._objects, self._areas, self._backdrop = IntegerCounts(), IntegerCounts(), IntegerCounts()
        self._channels = tuple(IntegerCounts() for _ in range(3))
        self._factors = FactorCounts(classes)
        self._unseen, self._at_border = 0, 0

    def add(self, scene: Scene, objects: int | None) -> None:
        """Add a scene with this number of objects, if it is known; all scenes must have the same size."""
        self._pixels = scene.mask.size
        self._scenes += 1
        if objects is not None:
            self._objects.add([objects])
        visible = self._add_mask(scene) if scene.has_mask else self._visible(scene, np.zeros(_INDICES, np.int64))
        self._factors.add(scene, visible)
        for channel, values in zip(self._channels, np.moveaxis(scene.image, -1, 0), strict=True):
            channel.add(values.ravel())

    def _add_mask(self, scene: Scene) -> NDArray[np.bool_]:
        """Add what the mask of a scene shows; returns which entities are visible objects."""
        areas = np.bincount(scene.mask.ravel(), minlength=_INDICES)
        if self._ignored is not None:
            self._unlabelled.add([int(areas[self._ignored])])
            areas[self._ignored] = 0
        backdrop = int(areas[self._background].sum())
        areas[self._background] = 0
        self._areas.add(areas[areas > 0])
        self._backdrop.add([backdrop])
        self._at_border += int(np.count_nonzero(np.isin(np.flatnonzero(areas), _border_indices(scene.mask))))
        visible = self._visible(scene, areas)
        self._unseen += int(np.count_nonzero(visible & (areas[: len(visible)] == 0)))
        return visible

    def merge(self, other: SplitCounts) -> None:
        """Add the counts of ``other``."""
        self._pixels = self._pixels or other._pixels
        self._scenes += other._scenes
        self._objects.merge(other._objects)
        self._areas.merge(other._areas)
        self._backdrop.merge(other._backdrop)
        self._unlabelled.merge(other._unlabelled)
        self._factors.merge(other._factors)
        self._unseen += other._unseen
        self._at_border += other._at_border
        for mine, theirs in zip(self._channels, other._channels, strict=True):
            mine.merge(theirs)

    def statistics(self) -> SplitStatistics:
        """Summarise the counts."""
        areas, objects = self._areas.distribution(), self._objects.distribution()
        part = 1 / max(self._pixels, 1)
        return SplitStatistics(
            scenes=self._scenes,
            objects_per_scene=objects,
            without_objects=int(self._objects.counts[:1].sum()) if objects.n or not self._scenes else None,
            unseen_objects=self._unseen,
            pixels_per_object=areas,
            share_per_object=areas.scaled(part),
            background_share=self._backdrop.distribution().scaled(part),
            at_border=self._at_border,
            channels=tuple(channel.distribution() for channel in self._channels),
            factors=self._factors.factors(),
            ignored_share=None if self._ignored is None else self._unlabelled.distribution().scaled(part),
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


class FactorCounts:
    """Collects the factors of visible objects, scene by scene."""

    def __init__(self, classes: Mapping[str, Sequence[str]]) -> None:
        """Start without objects; ``classes`` names the values of categorical factors."""
        self._names = classes
        self._categories: dict[str, NDArray[np.int64]] = {}
        self._numbers: dict[str, list[BinnedCounts]] = {}

    def add(self, scene: Scene, visible: NDArray[np.bool_]) -> None:
        """Add the objects that are ``visible bool[N]``; skip factors that do not have one row per entity."""
        for name, values in scene.factors.items():
            if name == VISIBILITY or values.ndim < 1 or len(values) != len(visible):
                continue
            if name in self._names and values.ndim == 1:
                self._add_classes(name, values[visible])
            else:
                self._add_numbers(name, values.reshape(len(values), -1)[visible])

    def merge(self, other: FactorCounts) -> None:
        """Add the counts of ``other``."""
        for name, counts in other._categories.items():
            self._categories[name] = self._categories.get(name, 0) + counts
        for name, columns in other._numbers.items():
            for mine, theirs in zip(self._columns(name, len(columns)), columns, strict=True):
                mine.merge(theirs)

    def factors(self) -> dict[str, Factor]:
        """All factors, by name."""
        categorical = {name: Factor(self._by_class(name, counts)) for name, counts in self._categories.items()}
        numeric = {
            name: Factor({}, tuple(column.distribution() for column in columns))
            for name, columns in self._numbers.items()
        }
        return dict(sorted((categorical | numeric).items()))

    def _add_classes(self, name: str, values: Array) -> None:
        """The last count is that of values that are not the number of a class."""
        known = len(self._names[name])
        numbers = np.asarray(values, np.float64)
        fits = (numbers % 1 == 0) & (numbers >= 0) & (numbers < known)
        ids = np.where(fits, numbers, known).astype(np.int64)
        self._categories[name] = self._categories.get(name, 0) + np.bincount(ids, minlength=known + 1)

    def _add_numbers(self, name: str, rows: Array) -> None:
        for column, values in zip(self._columns(name, rows.shape[1]), rows.T, strict=True):
            column.add(values)

    def _columns(self, name: str, count: int) -> list[BinnedCounts]:
        return self._numbers.setdefault(name, [BinnedCounts() for _ in range(count)])

    def _by_class(self, name: str, counts: NDArray[np.int64]) -> dict[str, int]:
        """Counts by class name; class 0 means "no object", so it is listed only if an object has it."""
        names = (*self._names[name], UNNAMED)
        pairs = zip(names, counts.tolist(), strict=True)
        first, *rest, unnamed = pairs
        return dict([first] * bool(first[1]) + rest + [unnamed] * bool(unnamed[1]))


def _border_indices(mask: Bytes) -> Bytes:
    """The indices in the first and last row and column."""
    indices: Bytes = np.unique(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]))
    return indices
