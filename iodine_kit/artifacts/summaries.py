"""Typed facts of statistics and studies: what a terminal shows of them."""

from __future__ import annotations

from iodine_kit.store import ArtifactFacts


class SplitSummary(ArtifactFacts):
    """The most important statistics of the scenes of a split.

    Attributes:
        objects_mean, objects_std: number of objects per scene; ``None`` if there is no scene, or none states it.
        without_objects: number of scenes without objects; ``None`` if no scene states its number of objects.
        median_pixels: of the objects; ``None`` if there is no object.
        background_share: mean share of a scene's pixels, 0…1; ``None`` without scenes or masks.
        repeated_images: number of scenes whose image occurred before.
        ignored_share: mean share of a scene's pixels that are ignored, 0…1; ``None`` if the data set has none.
    """

    scenes: int
    objects_mean: float | None
    objects_std: float | None
    without_objects: int | None
    median_pixels: float | None
    background_share: float | None
    repeated_images: int
    ignored_share: float | None = None


class StatisticsFacts(ArtifactFacts):
    """Facts of the statistics of a data set.

    Attributes:
        page, statistics: names of the artifact's files.
        limit: number of scenes per split that were counted; ``None`` for all.
        splits: by name; ``all`` is all of them together.
        unmasked: splits without masks.
    """

    page: str
    statistics: str
    limit: int | None
    splits: dict[str, SplitSummary]
    all: SplitSummary
    images_in_several_splits: int
    unmasked: tuple[str, ...] = ()


class StudyFacts(ArtifactFacts):
    """Facts of a study.

    Attributes:
        seen: its observations, in sentences.
        artifacts: number of artifacts that it uses.
        seconds: of work that all of them took.
    """

    seen: list[str]
    artifacts: int
    seconds: float
