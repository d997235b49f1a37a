"""Everything the page may show, gathered once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from iodine_kit.dataset_statistics import Duplicates, SplitStatistics
from iodine_kit.records import Scene
from iodine_kit.reporting.context import LineageItem
from iodine_kit.reporting.image_grid import coloured
from iodine_kit.reporting.pictures import png

OVERALL = "all splits"
"""What stands for all of them together; no split can be called so."""


@dataclass(frozen=True)
class ScenePicture:
    """A scene's image and mask as data URIs, and what is said below them."""

    key: str
    image: str
    mask: str
    objects: str


def picture(scene: Scene, objects: int, background: Collection[int]) -> ScenePicture:
    """Draw a scene of so many objects."""
    told = f"{objects} object{'' if objects == 1 else 's'}"
    return ScenePicture(scene.key, png(scene.image), png(coloured(scene.mask, background)), told)


@dataclass(frozen=True)
class DatasetPage:
    """The page's material.

    Attributes:
        title, summary: heading and one paragraph of plain text.
        resolution: height and width of every image.
        limit: scenes of every split that were looked at; ``None`` if all were.
        overall: of all splits together; ``splits`` of each, in their order.
        duplicates: with ``examples`` as pairs of ``split/key``, the first occurrence first.
        scenes: to picture, by split.
        provenance: (label, value) pairs.
        lineage: the data set, and the files from outside that it was made of.
        command: the shell command that makes this page again.
    """

    title: str
    summary: str
    resolution: tuple[int, int]
    limit: int | None
    overall: SplitStatistics
    splits: Mapping[str, SplitStatistics]
    duplicates: Duplicates
    examples: Sequence[tuple[str, str]]
    scenes: Mapping[str, Sequence[ScenePicture]]
    provenance: Sequence[tuple[str, str]]
    lineage: Sequence[LineageItem]
    command: str

    @property
    def repeats(self) -> dict[str, int]:
        """Scenes whose image occurred before, by split, and in all of them."""
        return {**self.duplicates.repeats, OVERALL: self.overall.scenes - self.duplicates.distinct}

    @property
    def split_names(self) -> tuple[str, ...]:
        return tuple(self.splits)

    @property
    def parts(self) -> dict[str, SplitStatistics]:
        """Every split, and all together as the last one where there are several."""
        return {**self.splits, **({OVERALL: self.overall} if len(self.splits) > 1 else {})}
