"""Which plug-ins, rule and preprocessing a configuration means, before any file is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iodine_kit.config import Config, build, split_table
from iodine_kit.datasets import DATASETS, DatasetPlugin
from iodine_kit.errors import ConfigError, CountError, SchemaError, SourceError, did_you_mean
from iodine_kit.formats import FORMATS, FormatPlugin, ShardedConfig
from iodine_kit.layouts import LayoutPlugin
from iodine_kit.preprocessing import PreprocessConfig
from iodine_kit.protocols import PROTOCOLS, Rule
from iodine_kit.runner import Tables
from iodine_kit.split_rules import Counts, Own, Ranges, SplitRule
from iodine_kit.stages.prepare.config import PrepareConfig, PrepareExecution

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
"""Of a generated data set, where no split is given."""


@dataclass(frozen=True)
class Choice:
    """A configuration with its plug-ins loaded and checked.

    Attributes:
        splits: names of the splits to come; empty if only the source knows.
        rule: of the protocol, if there is one.
        preprocess: as the user gave it, not yet laid over what the data set and the protocol say.
    """

    config: PrepareConfig
    execution: PrepareExecution
    dataset: DatasetPlugin
    dataset_config: Config
    format: FormatPlugin
    format_config: ShardedConfig
    protocol: Rule | None
    protocol_version: dict[str, int]
    preprocess: Mapping[str, Any]
    layout_values: Mapping[str, Any]
    counts: dict[str, int]

    @property
    def splits(self) -> tuple[str, ...]:
        if self.protocol:
            return self.protocol.splits.names
        if self.counts:
            return tuple(self.counts)
        return () if self.config.source else tuple(self.dataset.splits(self.dataset_config))

    def rule(self, layout: LayoutPlugin) -> SplitRule:
        """Which record of published files goes where."""
        if self.protocol:
            if layout.OWN_SPLITS and not isinstance(self.protocol.splits, Own):
                raise SchemaError(
                    f"protocol {self.config.protocol} goes by the numbers of records in the one published file, and "
                    "this source comes divided into splits: leave --protocol out, filter with --set preprocess.…"
                )
            return self.protocol.splits
        if self.counts:
            return Counts(tuple(self.counts.items()))
        usual = self.dataset.splits(self.dataset_config)
        return Own() if layout.OWN_SPLITS or not usual else Ranges.of_counts(usual)

    def preprocessing(self, layout: LayoutPlugin) -> PreprocessConfig:
        """What is done to published scenes: as the data set says, or the protocol, or the layout, or the user."""
        values = {**self.dataset.PREPROCESS, **(self.protocol.preprocess if self.protocol else {})}
        own = layout.PREPROCESS.get(self.config.dataset, {})
        if values.get("crop") == self.dataset.PREPROCESS.get("crop"):
            values |= own  # the same view in pictures of another size
        if self.preprocess.get("crop") == "none":
            values.pop("size", None)  # or a picture that is not square would be squeezed
        return build(PreprocessConfig, {**values, **self.preprocess}, "preprocess")


def choose(tables: Tables) -> Choice:
    """Validate the tables and load the plug-ins they name.

    Raises:
        ConfigError, UnknownNameError, CountError, SourceError: if they contradict each other or what there is.
    """
    values, execution = split_table(tables.get("prepare", {}), [PrepareConfig, PrepareExecution], "prepare")
    config = build(PrepareConfig, values, "prepare")
    dataset, format_plugin = DATASETS.load(config.dataset), FORMATS.load(config.format)
    _check_exclusive(config, tables)
    dataset_config = build(dataset.Config, tables.get("dataset", {}), "dataset")
    _check_origin(config, dataset, dataset_config)
    build(PreprocessConfig, tables.get("preprocess", {}), "preprocess")
    protocol, versions = _protocol(config)
    return Choice(
        config=config,
        execution=build(PrepareExecution, execution, "prepare"),
        dataset=dataset,
        dataset_config=dataset_config,
        format=format_plugin,
        format_config=build(format_plugin.Config, tables.get("format", {}), "format"),
        protocol=protocol,
        protocol_version=versions,
        preprocess=tables.get("preprocess", {}),
        layout_values=tables.get("layout", {}),
        counts=_counts(config),
    )


def _check_exclusive(config: PrepareConfig, tables: Tables) -> None:
    if config.generate is not None and config.source:
        raise ConfigError("--generate and --source exclude each other: scenes are either generated or read")
    if config.generate is not None and (config.layout or config.skip_bad):
        raise ConfigError("prepare.layout and prepare.skip_bad are for published files: omit them with --generate")
    if config.generate is not None and config.protocol:
        raise ConfigError("--generate and --protocol exclude each other: a protocol divides published files")
    if config.protocol and config.split:
        raise ConfigError("--protocol and --split exclude each other: the protocol says which record goes where")
    filters = {"min_objects", "max_objects"} & tables.get("preprocess", {}).keys()
    if config.generate is not None and filters:
        raise ConfigError(f"preprocess.{min(filters)} leaves out published scenes; generated ones take --set dataset.…")


def _check_origin(config: PrepareConfig, dataset: DatasetPlugin, dataset_config: Config) -> None:
    if config.generate is not None and dataset.generate is None:
        raise SourceError(f"{config.dataset} has no generator: read it with --source PATH")
    if config.generate is not None:
        return
    if not config.source and not dataset.urls(dataset_config):
        advice = ", or --generate N" if dataset.generate else ""
        raise SourceError(
            f"{config.dataset} has no public address to download from: say where it is with --source PATH{advice}"
        )
    defaults = dataset.Config()
    for key, value in dataset_config:
        if key not in dataset.PUBLISHED_KEYS and value != getattr(defaults, key):
            raise ConfigError(f"dataset.{key} shapes generated scenes only: add --generate N, or leave it out")


def _protocol(config: PrepareConfig) -> tuple[Rule | None, dict[str, int]]:
    if not config.protocol:
        return None, {}
    plugin = PROTOCOLS.load(config.protocol)
    if config.dataset not in plugin.RULES:
        raise SchemaError(
            f"protocol {config.protocol} says nothing of {config.dataset}{did_you_mean(config.dataset, plugin.RULES)}"
        )
    return plugin.RULES[config.dataset], {f"protocol/{config.protocol}": plugin.VERSION}


def _counts(config: PrepareConfig) -> dict[str, int]:
    """Scenes per split as asked for, or shares of what is generated; raises :class:`CountError` for an empty one."""
    splits = dict(config.split)
    if config.generate is not None and not splits:
        few = config.generate < len(SHARES)
        splits = {} if few else {name: max(int(config.generate * share), 1) for name, share in SHARES.items()}
        splits["train"] = splits.get("train", 0) + config.generate - sum(splits.values())
    elif config.generate is not None and sum(splits.values()) != config.generate:
        total = sum(splits.values())
        raise CountError(f"the splits add up to {total} scenes, and --generate says {config.generate}: make them equal")
    for name, count in splits.items():
        if count < 1:
            raise CountError(f"split '{name}' would be empty: give it at least one scene with --split {name}=N")
    return splits
