"""Data sets: each module of this folder is one and offers what :class:`DatasetPlugin` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from iodine_kit.config import Config
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.registry import Registry
from iodine_kit.tfrecord import FieldSpec

THREADS = "IODINE_KIT_THREADS"
"""Environment variable that tells a generator how many threads are its own; not set, all are."""

Generate = Callable[[Any, np.random.Generator, str], Scene]
"""``generate(config, rng, key)`` samples one scene; everything random comes from ``rng``."""


class DatasetPlugin(Protocol):
    """What a module of this folder offers. How published bytes are read is told by ``iodine_kit.layouts``.

    Two offers are optional, and asked for through the functions below: ``made_with`` and ``repair``.
    """

    VERSION: int
    """Raised whenever the same configuration would give other scenes."""

    SUMMARY: str
    """One line for lists."""

    PREPROCESS: Mapping[str, Any]
    """Values of ``[preprocess]`` that published scenes of this data set get unless told otherwise."""

    SCHEMAS: Mapping[str, Mapping[str, FieldSpec]]
    """The features of each published TFRecord file, by a name that a person understands; empty if there is none."""

    PUBLISHED_KEYS: tuple[str, ...]
    """Keys of ``Config`` that choose among published files; all others shape generated scenes only."""

    Config: type[Config]
    """A field of type ``Path`` is a file that the generator reads: it counts by its bytes, not by its name."""

    generate: Generate | None
    """The generator; ``None`` where the data set can only be read."""

    def info(self, config: Any) -> DatasetInfo:
        """What is true of every scene."""

    def fields(self, config: Any) -> Mapping[str, FieldSpec]:
        """The one of ``SCHEMAS`` that the configuration asks for; empty if there is none."""

    def splits(self, config: Any) -> Mapping[str, int]:
        """The usual splits of the published files, each of so many records, in this order; empty if there are none."""

    def urls(self, config: Any) -> tuple[str, ...]:
        """Public addresses of the files that the configuration asks for; empty if they must be fetched by hand."""


DATASETS: Registry[DatasetPlugin] = Registry("data set", "iodine_kit.datasets", DatasetPlugin)


def made_with(plugin: DatasetPlugin, config: Any) -> Mapping[str, str]:
    """Programs from outside that generate scenes, and their versions: what ``made_with(config)`` of a plug-in says."""
    tell = getattr(plugin, "made_with", None)
    return tell(config) if tell else {}


def repaired(plugin: DatasetPlugin, config: Any, scene: Scene) -> Scene:
    """A published scene as it should have been, if the configuration asks for it: ``repair(config, scene)``."""
    mend = getattr(plugin, "repair", None)
    return mend(config, scene) if mend else scene
