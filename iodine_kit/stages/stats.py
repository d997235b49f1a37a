"""stats: statistics of a data set, as JSON and as a page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from iodine_kit.artifacts.dataset import DatasetFacts, dataset_info, has_masks, open_split
from iodine_kit.artifacts.summaries import SplitSummary, StatisticsFacts
from iodine_kit.config import Config, build, flatten
from iodine_kit.dataset_statistics import (
    Duplicates,
    Fingerprints,
    SplitCounts,
    SplitStatistics,
    as_json,
    find_duplicates,
)
from iodine_kit.preprocessing import count_objects
from iodine_kit.progress import Advance, Reporter
from iodine_kit.records import DatasetInfo
from iodine_kit.reporting.dataset_page import OVERALL, DatasetPage, ScenePicture, render_dataset_page, scene_picture
from iodine_kit.reporting.lineage import dataset_provenance, lineage_of
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.store import Artifact, Identity

VERSION = 1
_UNMASKED_VERSION = 2
"""Of the stage, for data sets with splits without masks, whose statistics changed; it depends on the data so that those
of all other data sets keep their keys."""
TABLES = ("stats",)
INPUTS = ("dataset",)
PAGE, STATISTICS = "index.html", "statistics.json"
_LISTED_SOURCES = 8
"""The page lists at most this many source files; more are summarised in one line."""


class StatsConfig(Config):
    """What is looked at and shown.

    Attributes:
        limit: number of scenes per split to count, from its start. Defaults to all.
        scenes: number of scenes per split to picture.
        title: heading of the page. Defaults to the name of the data set.
    """

    limit: Annotated[int, Field(ge=1)] | None = None
    scenes: Annotated[int, Field(ge=0, le=200)] = 12
    title: str = ""


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Resolve the configuration; the input is a ``dataset``."""
    dataset = inputs["dataset"]
    config = configure(tables)
    identity = Identity(
        kind="statistics",
        name=dataset.manifest.identity.name,
        stage="stats",
        version=_UNMASKED_VERSION if _unmasked(dataset) else VERSION,
        config={"stats": config.model_dump(mode="json")},
        inputs={"dataset": dataset.reference},
    )
    return Job(identity, lambda out: _make(config, dataset, out, context.reporter))


def configure(tables: Tables) -> StatsConfig:
    """Validate the tables."""
    return build(StatsConfig, tables.get("stats", {}), "stats")


def _unmasked(dataset: Artifact) -> tuple[str, ...]:
    """The splits without masks."""
    return tuple(split for split in DatasetFacts.of(dataset).splits if not has_masks(dataset, split))


class _SplitReader:
    """Reads the scenes of a split: collects their statistics and fingerprints, and keeps some pictures."""

    def __init__(self, dataset: Artifact, name: str, info: DatasetInfo, config: StatsConfig) -> None:
        self._dataset, self._name, self._info, self._config = dataset, name, info, config
        self.counts = SplitCounts(info.background, info.classes, info.ignored)
        self.fingerprints = Fingerprints()
        self.pictures: list[ScenePicture] = []
        self.keys: list[str] = []

    def read(self, advance: Advance) -> None:
        """Read all scenes, or the first ones if there is a limit."""
        reader = open_split(self._dataset, self._name)
        try:
            self.keys = reader.keys()[: self._config.limit]
            for index in range(len(self.keys)):
                scene = replace(reader.scene(index), ignored=self._info.ignored is not None)
                objects = count_objects(scene, self._info.background)
                if objects is None and scene.has_mask:
                    objects = 0
                self.counts.add(scene, objects)
                self.fingerprints.add(scene.image)
                if index < self._config.scenes:
                    self.pictures.append(scene_picture(scene, objects, self._info.background, self._info.ignored))
                advance(1)
        finally:
            reader.close()


def _make(config: StatsConfig, dataset: Artifact, out: Path, reporter: Reporter) -> FactValues:
    info = dataset_info(dataset)
    sizes = DatasetFacts.of(dataset).splits
    splits = {name: _SplitReader(dataset, name, info, config) for name in sizes}
    overall = SplitCounts(info.background, info.classes, info.ignored)
    with reporter.track("stats", sum(min(count, config.limit or count) for count in sizes.values())) as advance:
        for split in splits.values():
            split.read(advance)
            overall.merge(split.counts)
    duplicates = find_duplicates({name: split.fingerprints for name, split in splits.items()})
    page = _page(config, dataset, info, splits, overall.statistics(), duplicates)
    if page.without_masks:
        reporter.note(f"note: {page.without_masks}")
    (out / PAGE).write_text(render_dataset_page(page), "utf-8")
    _write_json(out / STATISTICS, page)
    return _facts(page)


def _page(
    config: StatsConfig,
    dataset: Artifact,
    info: DatasetInfo,
    splits: Mapping[str, _SplitReader],
    overall: SplitStatistics,
    duplicates: Duplicates,
) -> DatasetPage:
    keys = {name: split.keys for name, split in splits.items()}
    examples = [tuple(f"{name}/{keys[name][row]}" for name, row in pair) for pair in duplicates.examples]
    several = f"{len(splits)} splits" if len(splits) > 1 else "one split"
    return DatasetPage(
        title=config.title or info.dataset,
        summary=f"Statistics of the {overall.scenes:,} scenes of {dataset.reference.directory}, in {several}.",
        resolution=(info.height, info.width),
        limit=config.limit,
        overall=overall,
        splits={name: split.counts.statistics() for name, split in splits.items()},
        duplicates=duplicates,
        examples=[(first, again) for first, again in examples],
        scenes={name: split.pictures for name, split in splits.items()},
        provenance=dataset_provenance(dataset),
        lineage=[lineage_of("dataset", dataset, most_sources=_LISTED_SOURCES)],
        command=_command(config, dataset),
        unmasked=_unmasked(dataset),
    )


def _command(config: StatsConfig, dataset: Artifact) -> str:
    """The shell command that rebuilds this page; values are written as JSON, which is valid TOML here."""
    leaves = flatten(config.model_dump(exclude_defaults=True))
    settings = [f"stats.{name}={json.dumps(value, ensure_ascii=False)}" for name, value in leaves.items()]
    options = [part for setting in settings for part in ("--set", setting)]
    return shlex.join(["iodine-kit", "stats", dataset.reference.directory, *options])


def _write_json(path: Path, page: DatasetPage) -> None:
    content = {
        "all": _split_json(page.overall),
        "splits": {name: _split_json(split) for name, split in page.splits.items()},
        "duplicates": {**as_json(page.duplicates), "examples": as_json(page.examples)},
        "limit": page.limit,
        **({"unmasked": list(page.unmasked)} if page.unmasked else {}),
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def _split_json(split: SplitStatistics) -> Any:
    """The statistics of a split; without pixels to ignore, nothing is said of them."""
    return {name: value for name, value in as_json(split).items() if name != "ignored_share" or value is not None}


def _facts(page: DatasetPage) -> FactValues:
    """The metrics of a short table."""
    return StatisticsFacts(
        page=PAGE,
        statistics=STATISTICS,
        limit=page.limit,
        splits={name: _summary(split, page.repeats[name]) for name, split in page.splits.items()},
        all=_summary(page.overall, page.repeats[OVERALL]),
        images_in_several_splits=page.duplicates.leaking,
        **({"unmasked": page.unmasked} if page.unmasked else {}),
    ).model_dump(mode="json", exclude_unset=True)


def _summary(split: SplitStatistics, repeats: int) -> SplitSummary:
    return SplitSummary(
        scenes=split.scenes,
        objects_mean=as_json(split.objects_per_scene.mean),
        objects_std=as_json(split.objects_per_scene.std),
        without_objects=split.without_objects,
        median_pixels=as_json(split.pixels_per_object.quantiles.get(0.5)),
        background_share=as_json(split.background_share.mean),
        repeated_images=repeats,
        **({} if split.ignored_share is None else {"ignored_share": as_json(split.ignored_share.mean)}),
    )
