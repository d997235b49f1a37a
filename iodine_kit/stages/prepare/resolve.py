"""Resolve a configuration: load its plug-ins, its split rule and its preprocessing, before any file is read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iodine_kit.config import Config, build, split_table
from iodine_kit.datasets import DATASETS, DatasetPlugin
from iodine_kit.errors import ConfigError, CountError, SchemaError, SourceError, UnknownNameError, did_you_mean
from iodine_kit.formats import FORMATS, FormatPlugin, ShardedConfig
from iodine_kit.layouts import LayoutPlugin
from iodine_kit.preprocessing import PreprocessConfig
from iodine_kit.protocols import PROTOCOLS, Rule
from iodine_kit.runner import Tables
from iodine_kit.split_rules import Counts, Own, Ranges, SplitRule
from iodine_kit.stages.prepare.config import PrepareConfig, PrepareExecution
from iodine_kit.system import expand_home, to_path

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
"""Default splits of a generated data set, as shares of its scenes."""


@dataclass(frozen=True)
class ResolvedConfig:
    """A validated configuration and the plug-ins that it names.

    Attributes:
        protocol: the protocol's rule for the data set; ``None`` without a protocol.
        protocol_version: version of the protocol by plug-in name; empty without a protocol.
        preprocess: the ``[preprocess]`` table of the user, without the defaults of data set and protocol.
        layout_values: the ``[layout]`` table of the user; the layout may not be known yet.
        counts: number of scenes by split; empty if the user gave none and files are read.
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
        """Names of the splits that the data set will have; empty if only the source knows them."""
        if self.protocol:
            return self.protocol.splits.names
        if self.counts:
            return tuple(self.counts)
        return () if self.config.source else tuple(self.dataset.splits(self.dataset_config))

    def rule(self, layout: LayoutPlugin) -> SplitRule:
        """The rule that assigns the records of published files to splits.

        Raises:
            SchemaError: if the protocol selects records by index, but the source is already divided into splits.
        """
        if self.protocol:
            if layout.OWN_SPLITS and not isinstance(self.protocol.splits, Own):
                raise SchemaError(
                    f"protocol {self.config.protocol} selects records by their index in the single published file, but "
                    "this source is already divided into splits: omit --protocol and filter with --set preprocess.…"
                )
            return self.protocol.splits
        if self.counts:
            return Counts(tuple(self.counts.items()))
        usual = self.dataset.splits(self.dataset_config)
        return Own() if layout.OWN_SPLITS or not usual else Ranges.of_counts(usual)

    def preprocessing(self, layout: LayoutPlugin) -> PreprocessConfig:
        """Preprocessing of published scenes: defaults of data set, protocol and layout, then the user's values."""
        values = {**self.dataset.PREPROCESS, **(self.protocol.preprocess if self.protocol else {})}
        own = layout.PREPROCESS.get(self.config.dataset, {})
        if values.get("crop") == self.dataset.PREPROCESS.get("crop"):
            values |= own  # the same view in images of another size
        if self.preprocess.get("crop") == "none":
            values.pop("size", None)  # resizing the whole image to a square would distort it
        return build(PreprocessConfig, {**values, **self.preprocess}, "preprocess")


def configure(tables: Tables) -> ResolvedConfig:
    """Validate the tables and load the plug-ins that they name.

    Raises:
        ConfigError: if a value is invalid or two settings contradict each other.
        UnknownNameError: if a plug-in does not exist.
        CountError: if a split would be empty or the splits do not add up.
        SchemaError: if the protocol does not define the data set.
        SourceError: if the data set can neither be generated nor downloaded, and no source is given.
    """
    values, execution = split_table(tables.get("prepare", {}), [PrepareConfig, PrepareExecution], "prepare")
    config = build(PrepareConfig, values, "prepare")
    dataset, format_plugin = _dataset(config.dataset), FORMATS.load(config.format)
    _check_exclusive(config, tables)
    dataset_config = build(dataset.Config, tables.get("dataset", {}), "dataset")
    _check_origin(config, dataset, dataset_config)
    build(PreprocessConfig, tables.get("preprocess", {}), "preprocess")
    protocol, versions = _protocol(config)
    return ResolvedConfig(
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


def _dataset(name: str) -> DatasetPlugin:
    """The data set; raises :class:`UnknownNameError` with what to do if the name is that of a file or folder."""
    try:
        return DATASETS.load(name)
    except UnknownNameError:
        if not (name and to_path(expand_home(name)).exists()):
            raise
        quoted = shlex.quote(name)
        raise UnknownNameError(
            f"no data set is called '{name}', but a file or folder is; for pictures of your own: iodine-kit prepare "
            f"folder --source {quoted}; for other files: iodine-kit inspect {quoted}"
        ) from None


def _check_exclusive(config: PrepareConfig, tables: Tables) -> None:
    if config.generate is not None and config.source:
        raise ConfigError("--generate and --source exclude each other: scenes are either generated or read")
    if config.generate is not None and (config.layout or config.skip_bad):
        raise ConfigError("prepare.layout and prepare.skip_bad apply to published files: omit them with --generate")
    if config.generate is not None and config.protocol:
        raise ConfigError("--generate and --protocol exclude each other: a protocol divides published files")
    if config.protocol and config.split:
        raise ConfigError("--protocol and --split exclude each other: the protocol defines the splits")
    filters = {"min_objects", "max_objects"} & tables.get("preprocess", {}).keys()
    if config.generate is not None and filters:
        raise ConfigError(
            f"preprocess.{min(filters)} filters published scenes only; for generated scenes use --set dataset.…"
        )


def _check_origin(config: PrepareConfig, dataset: DatasetPlugin, dataset_config: Config) -> None:
    if config.generate is not None and dataset.generate is None:
        raise SourceError(f"{config.dataset} has no generator: read it with --source PATH")
    if config.generate is not None:
        return
    if not config.source and not dataset.urls(dataset_config):
        advice = " or --generate N" if dataset.generate else ""
        raise SourceError(f"{config.dataset} has no public address to download from: use --source PATH{advice}")
    defaults = dataset.Config()
    for key, value in dataset_config:
        if key not in dataset.PUBLISHED_KEYS and value != getattr(defaults, key):
            raise ConfigError(f"dataset.{key} applies to generated scenes only: add --generate N, or omit it")


def _protocol(config: PrepareConfig) -> tuple[Rule | None, dict[str, int]]:
    if not config.protocol:
        return None, {}
    plugin = PROTOCOLS.load(config.protocol)
    if config.dataset not in plugin.RULES:
        hint = did_you_mean(config.dataset, plugin.RULES)
        raise SchemaError(f"protocol {config.protocol} does not define the data set {config.dataset}{hint}")
    return plugin.RULES[config.dataset], {f"protocol/{config.protocol}": plugin.VERSION}


def _counts(config: PrepareConfig) -> dict[str, int]:
    """Scenes by split as the user asked for, else default shares of the scenes to generate."""
    splits = dict(config.split)
    if config.generate is not None and not splits:
        few = config.generate < len(SHARES)
        splits = {} if few else {name: max(int(config.generate * share), 1) for name, share in SHARES.items()}
        splits["train"] = splits.get("train", 0) + config.generate - sum(splits.values())
    elif config.generate is not None and sum(splits.values()) != config.generate:
        total = sum(splits.values())
        raise CountError(f"the splits add up to {total} scenes, but --generate is {config.generate}: make them equal")
    for name, count in splits.items():
        if count < 1:
            raise CountError(f"split '{name}' would be empty: request at least one scene with --split {name}=N")
    return splits
