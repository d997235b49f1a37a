"""Data sets: each module of this folder is one data set and defines what :class:`DatasetPlugin` requires."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from iodine_kit.config import Config
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.registry import Registry
from iodine_kit.tfrecord import FieldSpec

THREADS = "IODINE_KIT_THREADS"
"""Environment variable with the number of threads that a generator may use; if it is not set, all are used."""

Generate = Callable[[Any, "np.random.Generator", str], Scene]
"""``generate(config, rng, key)`` samples one scene; all randomness comes from ``rng``."""


class DatasetPlugin(Protocol):
    """What a module of this folder defines. How published bytes are read is the task of ``iodine_kit.layouts``.

    A plug-in can also define three optional functions: ``made_with(config)``, see :func:`external_versions`,
    ``repair(config, scene)``, see :func:`repair_scene`, and ``require(config)``, see :func:`require_external`.
    """

    VERSION: int
    """Raised whenever the same configuration would give other scenes."""

    SUMMARY: str
    """One line for lists."""

    PREPROCESS: Mapping[str, Any]
    """Default values of ``[preprocess]`` for published scenes of this data set."""

    SCHEMAS: Mapping[str, Mapping[str, FieldSpec]]
    """The features of each published TFRecord file, by a title for messages; empty if there is none."""

    PUBLISHED_KEYS: tuple[str, ...]
    """Keys of ``Config`` that select among published files; all other keys apply to generated scenes only."""

    Config: type[Config]
    """The options. A field of type ``Path`` names a file that the generator reads; it counts by its bytes."""

    generate: Generate | None
    """The generator; ``None`` if the data set can only be read."""

    def info(self, config: Any) -> DatasetInfo:
        """Facts that hold for every scene."""

    def fields(self, config: Any) -> Mapping[str, FieldSpec]:
        """The entry of ``SCHEMAS`` that the configuration selects; empty if there is none."""

    def splits(self, config: Any) -> Mapping[str, int]:
        """Number of records of the usual splits of the published files, in order; empty if there are none."""

    def urls(self, config: Any) -> tuple[str, ...]:
        """Public addresses of the files that the configuration selects; empty if users must fetch them by hand."""


DATASETS: Registry[DatasetPlugin] = Registry("data set", "iodine_kit.datasets", DatasetPlugin)


def external_versions(plugin: DatasetPlugin, config: Any) -> Mapping[str, str]:
    """Versions of the external programs that generate the scenes: ``made_with(config)`` of the plug-in, else empty."""
    made_with = getattr(plugin, "made_with", None)
    return made_with(config) if made_with else {}


def require_external(plugin: DatasetPlugin, config: Any) -> tuple[int, int] | None:
    """Check that the external program which generates the scenes is here: ``require(config)`` of the plug-in.

    Returns:
        height and width of the images that the program would make; ``None`` if no external program is needed.

    Raises:
        iodine_kit.errors.SourceError: the program is missing. It is not started.
    """
    require: Callable[[Any], tuple[int, int]] | None = getattr(plugin, "require", None)
    return require(config) if require else None


def repair_scene(plugin: DatasetPlugin, config: Any, scene: Scene) -> Scene:
    """Correct a known defect of a published scene: ``repair(config, scene)`` of the plug-in, else the scene itself."""
    repair = getattr(plugin, "repair", None)
    return repair(config, scene) if repair else scene


def generate_scene(plugin: DatasetPlugin, config: Any, seed: int, split: str, number: int) -> Scene:
    """Generate scene ``number`` (from 0) of a split, by a plug-in that has a generator.

    Every scene has its own random stream, which does not depend on the other scenes.
    """
    assert plugin.generate is not None
    spawn_key = (zlib.crc32(split.encode()), number)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=spawn_key))
    key = f"{split}-{number:08d}"
    try:
        return plugin.generate(config, rng, key)
    except Exception as error:
        error.add_note(f"while generating scene {key}")
        raise
