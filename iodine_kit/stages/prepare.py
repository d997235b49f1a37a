"""prepare: a published file, or a generator, becomes a data set in our shards."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from iodine_kit.config import Config, build
from iodine_kit.datasets import SourcePlugin
from iodine_kit.errors import ConfigError, CountError
from iodine_kit.formats import FormatPlugin
from iodine_kit.progress import Reporter
from iodine_kit.records import Scene
from iodine_kit.registry import Registry
from iodine_kit.stages.job import Facts, Job, Tables
from iodine_kit.stages.source import local_source
from iodine_kit.stages.split import FORMATS
from iodine_kit.store import Identity, Store

VERSION = 1
TABLES = ("prepare", "dataset", "format")
DATASETS: Registry[SourcePlugin] = Registry("data set", "iodine_kit.datasets")
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
"""Of a generated data set, where no split is given."""


class PrepareConfig(Config):
    """What to prepare.

    Attributes:
        dataset, format: plug-in names.
        generate: number of scenes to generate; none reads the published file.
        source: of the published file, path or address; none is the data set's public address.
        split: scenes per split. A generated split does not depend on the others; a published file's records go to
            the splits in the order given.
        seed: of the generator.
    """

    dataset: str
    format: str = "hdf5"
    generate: Annotated[int, Field(ge=1)] | None = None
    source: str | None = None
    split: dict[str, Annotated[int, Field(ge=0)]] = {}
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @field_validator("split")
    @classmethod
    def _names(cls, split: dict[str, int]) -> dict[str, int]:
        for name in split:
            if not name.replace("_", "").isalnum():
                raise ValueError(f"'{name}' is not a split's name: use letters, digits and '_'")
        return split


@dataclass(frozen=True)
class _Plan:
    config: PrepareConfig
    source: SourcePlugin
    source_config: Config
    format: FormatPlugin
    format_config: Config
    splits: Mapping[str, int]


def plan(tables: Tables, store: Store, reporter: Reporter, *, overwrite: bool = False, fetch: bool = True) -> Job:
    """Resolve the configuration and identify a published file by its bytes, after downloading it with ``fetch``."""
    plan = configure(tables)
    config, source, format_plugin = plan.config, plan.source, plan.format
    resolved: dict[str, Any] = {
        "dataset": {"name": config.dataset, **plan.source_config.model_dump(mode="json")},
        "format": {"name": config.format, **plan.format_config.model_dump(mode="json")},
        # A list, because the order decides which records of a file go where, and canonical JSON sorts tables.
        "split": [[name, count] for name, count in plan.splits.items()],
    }
    versions = {f"dataset/{config.dataset}": source.VERSION, f"format/{config.format}": format_plugin.VERSION}
    identity = Identity(kind="dataset", name=config.dataset, stage="prepare", version=VERSION, plugins=versions)
    if config.generate is not None:
        identity = identity.model_copy(update={"config": {**resolved, "seed": config.seed, "origin": "generated"}})
        return Job(identity, lambda out: _make(plan, None, out, reporter))
    path, file, inputs = local_source(store, config.source or source.URL, reporter, overwrite=overwrite, fetch=fetch)
    published = {"config": {**resolved, "origin": "published"}, "sources": (file,), "inputs": inputs}
    return Job(identity.model_copy(update=published), lambda out: _make(plan, path, out, reporter))


def configure(tables: Tables) -> _Plan:
    """Validate the tables and load the plug-ins they name."""
    config = build(PrepareConfig, tables.get("prepare", {}), "prepare")
    source, format_plugin = DATASETS.load(config.dataset), FORMATS.load(config.format)
    return _Plan(
        config,
        source,
        build(source.Config, tables.get("dataset", {}), "dataset"),
        format_plugin,
        build(format_plugin.Config, tables.get("format", {}), "format"),
        _splits(config, source),
    )


def _splits(config: PrepareConfig, source: SourcePlugin) -> dict[str, int]:
    """The splits to make, in order; raises :class:`CountError` for an empty one."""
    if config.generate is not None and config.source is not None:
        raise ConfigError("--generate and --source exclude each other: scenes are either generated or read")
    splits = dict(config.split)
    if config.generate is not None and not splits:
        splits = {name: max(int(config.generate * share), 1) for name, share in SHARES.items()}
        splits["train"] += config.generate - sum(splits.values())  # below 1 if there are too few for three splits
    elif config.generate is not None and sum(splits.values()) != config.generate:
        total = sum(splits.values())
        raise CountError(f"the splits add up to {total} scenes, and --generate says {config.generate}: make them equal")
    splits = splits or dict(source.SPLITS)
    for name, count in splits.items():
        if count < 1:
            raise CountError(f"split '{name}' would be empty: give it at least one scene with --split {name}=N")
    return splits


def _make(plan: _Plan, path: Path | None, out: Path, reporter: Reporter) -> Facts:
    """Write every split, then ``dataset.json``."""
    records = plan.source.read(plan.source_config, path) if path else None
    done = 0
    for split, count in plan.splits.items():
        scenes = _take(records, split, count, done, path) if records else _generate(plan, split, count)
        with reporter.track(f"prepare {split}", count) as advance:
            plan.format.write(out, split, _counted(scenes, advance), count, plan.format_config)
        done += count
    info = plan.source.info(plan.source_config)
    first = plan.format.open_split(out, next(iter(plan.splits))).scene(0)
    facts = {
        "info": {**vars(info), "background": list(info.background)},
        "splits": dict(plan.splits),
        "format": plan.config.format,
        "factors": {name: {"dtype": str(v.dtype), "shape": list(v.shape)} for name, v in first.factors.items()},
    }
    (out / "dataset.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return facts


def _generate(plan: _Plan, split: str, count: int) -> Iterator[Scene]:
    """Scenes of a split, each from its own stream of random numbers: the same whatever else is generated."""
    for index in range(count):
        stream = np.random.SeedSequence(plan.config.seed, spawn_key=(zlib.crc32(split.encode()), index))
        yield plan.source.generate(plan.source_config, np.random.default_rng(stream), f"{split}-{index:08d}")


def _take(records: Iterator[Scene], split: str, count: int, done: int, path: Path | None) -> Iterator[Scene]:
    found = 0
    for scene in islice(records, count):
        found += 1
        yield scene
    if found < count:
        raise CountError(
            f"{path}: holds {done + found} scenes, too few for split '{split}', which asks for {count} "
            f"after the first {done}; give smaller splits with --split NAME=N"
        )


def _counted(scenes: Iterable[Scene], advance: Any) -> Iterator[Scene]:
    for scene in scenes:
        yield scene
        advance(1)
