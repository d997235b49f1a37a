"""The content of the page of a data set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from iodine_kit.dataset_statistics import Duplicates, SplitStatistics
from iodine_kit.records import Scene
from iodine_kit.reporting.context import LineageItem
from iodine_kit.reporting.image_grid import mask_picture
from iodine_kit.reporting.pictures import png

OVERALL = "all splits"
"""The name of all splits together; no split can have this name."""


@dataclass(frozen=True)
class ScenePicture:
    """The image and the mask of a scene as data URIs, and the text below them; "" for no mask or no text."""

    key: str
    image: str
    mask: str
    objects: str


def scene_picture(
    scene: Scene, objects: int | None, background: Collection[int], ignored: int | None = None
) -> ScenePicture:
    """Draw a scene with its number of objects, if it is known; mask indices in ``background`` are near-black.

    Pixels whose index is ``ignored`` are hatched.
    """
    words = "" if objects is None else f"{objects} object{'' if objects == 1 else 's'}"
    mask = png(mask_picture(scene.mask, background, ignored)) if scene.has_mask else ""
    return ScenePicture(scene.key, png(scene.image), mask, words)


@dataclass(frozen=True)
class DatasetPage:
    """The content of the page.

    Attributes:
        title, summary: heading and one paragraph of plain text.
        resolution: height and width of every image.
        limit: number of scenes of every split that were counted, from its start; ``None`` for all.
        overall: statistics of all splits together.
        splits: statistics of each split, in the order of the data set.
        duplicates: counts of repeated images.
        examples: pairs of ``split/key`` with the same image, the first occurrence first.
        scenes: to show, by split.
        provenance: (label, value) pairs: how the data set was made.
        lineage: the data set, and the files from outside the store that it was made from.
        command: the shell command that reproduces the page.
        unmasked: names of the splits without masks.
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
    unmasked: Sequence[str] = ()

    @property
    def without_masks(self) -> str:
        """Which splits have no masks, as a sentence; "" if all have."""
        if not self.unmasked:
            return ""
        if len(self.unmasked) == len(self.splits):
            return "The scenes have no masks: there are no statistics of masks, and no metric of masks can be computed."
        names = ", ".join(f"'{name}'" for name in self.unmasked)
        which = "split" if len(self.unmasked) == 1 else "splits"
        return f"The scenes of {which} {names} have no masks: statistics of masks omit them."

    @property
    def repeats(self) -> dict[str, int]:
        """Number of scenes whose image occurred before, by split, and in all splits together."""
        return {**self.duplicates.repeats, OVERALL: self.overall.scenes - self.duplicates.distinct}

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits, in the order of the data set."""
        return tuple(self.splits)

    @property
    def parts(self) -> dict[str, SplitStatistics]:
        """Statistics by split; if there are several splits, the last entry is all of them together."""
        return {**self.splits, **({OVERALL: self.overall} if len(self.splits) > 1 else {})}
