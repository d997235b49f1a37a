"""Storage formats: each module of this folder is one format and defines what :class:`FormatPlugin` requires.

Writing has three steps. ``encode`` turns a scene into named bytes; this takes most of the time and can run in other
processes. ``write_shard`` writes encoded scenes to one file. ``finish`` turns all files into a split: it may rename a
file, or replace one by a copy with an addition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Protocol

from numpy.typing import NDArray
from pydantic import Field

from iodine_kit.config import Config
from iodine_kit.records import Array, Scene, SceneBatch
from iodine_kit.registry import Registry

Columns = Mapping[str, tuple[str, tuple[int, ...]]]
"""Dtype and shape of the arrays of every scene of a split: ``image``, ``mask`` and ``factors/<name>``."""


class ShardedConfig(Config):
    """How to store: base of every format's configuration.

    Attributes:
        scenes_per_shard: scenes in every shard but the last.
    """

    scenes_per_shard: Annotated[int, Field(ge=1, le=1_000_000)] = 5000


@dataclass(frozen=True)
class Sample:
    """An encoded scene: named parts, each a byte string."""

    key: str
    parts: Mapping[str, bytes]


class Reader(Protocol):
    """Random access to the scenes of a stored split; several threads can read at the same time."""

    def __len__(self) -> int:
        """Number of scenes."""

    def keys(self) -> list[str]:
        """The key of every scene, in order; a new list for every call."""

    def batch(self, indices: Sequence[int] | NDArray[Any]) -> SceneBatch:
        """The images and masks of the scenes with these indices, in this order."""

    def scene(self, index: int) -> Scene:
        """One scene, with its factors."""

    def close(self) -> None:
        """Close all files."""


class FormatPlugin(Protocol):
    """What a module of this folder defines."""

    VERSION: int
    """Raised whenever the same scenes would give other bytes."""

    Config: type[ShardedConfig]

    def encode(self, scene: Scene, config: Any) -> dict[str, bytes]:
        """Encode a scene as named bytes; the same scene always gives the same bytes."""

    def write_shard(
        self, directory: Path, split: str, number: int, samples: Iterable[Sample], count: int, columns: Columns,
        config: Any,
    ) -> Path:  # fmt: skip
        """Write shard ``number`` (from 0) with exactly ``count`` samples, replace an existing file, return its path."""

    def finish(self, directory: Path, split: str, shards: Sequence[int], config: Any) -> None:
        """Make finished shards readable as a split; ``shards`` are their numbers of scenes. Can be repeated.

        It may rename a shard, or replace the last one by a changed copy, but never changes a shard in place.
        """

    def open_split(self, directory: Path, split: str) -> Reader:
        """Open a finished split; raises :class:`iodine_kit.errors.CorruptDataError` if it cannot be read."""


FORMATS: Registry[FormatPlugin] = Registry("format", "iodine_kit.formats", FormatPlugin)


def columns_of(scene: Scene) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of every array of a scene, by column."""
    return {name: (value.dtype.str, value.shape) for name, value in arrays_of(scene).items()}


def arrays_of(scene: Scene) -> dict[str, Array]:
    """Every array of a scene, by column."""
    return {"image": scene.image, "mask": scene.mask, **{f"factors/{k}": v for k, v in scene.factors.items()}}


def write_split(plugin: FormatPlugin, directory: Path, split: str, scenes: Iterable[Scene], config: Any) -> None:
    """Write a split without ``iodine-kit prepare``, for example from a script."""
    stream, shards = iter(scenes), list[int]()
    while shard := list(islice(stream, config.scenes_per_shard)):
        encoded: Iterator[Sample] = (Sample(scene.key, plugin.encode(scene, config)) for scene in shard)
        plugin.write_shard(directory, split, len(shards), encoded, len(shard), columns_of(shard[0]), config)
        shards.append(len(shard))
    plugin.finish(directory, split, shards, config)
