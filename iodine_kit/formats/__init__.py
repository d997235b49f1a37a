"""Storage formats: each module of this folder is one and offers what :class:`FormatPlugin` says.

Writing is in two steps. ``encode`` turns a scene into named bytes, which is the work and can be done by other
processes; ``write_shard`` puts so many encoded scenes into one file. A shard that is finished stays, whatever happens
to the next.
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
"""Dtype and shape of what every scene of a split has: ``image``, ``mask`` and ``factors/<name>``."""


class ShardedConfig(Config):
    """How to store: base of every format's configuration.

    Attributes:
        scenes_per_shard: scenes in every shard but the last.
    """

    scenes_per_shard: Annotated[int, Field(ge=1, le=1_000_000)] = 5000


@dataclass(frozen=True)
class Sample:
    """A scene as a format encodes it: named parts, each some bytes."""

    key: str
    parts: Mapping[str, bytes]


class Reader(Protocol):
    """A split on disk, by index. Safe to use from one thread at a time."""

    def __len__(self) -> int:
        """Number of scenes."""

    def keys(self) -> list[str]:
        """Every scene's key, in order."""

    def batch(self, indices: Sequence[int] | NDArray[Any]) -> SceneBatch:
        """The images and masks of some scenes, in the order asked for."""

    def scene(self, index: int) -> Scene:
        """One scene with its factors."""

    def close(self) -> None:
        """Give files back."""


class FormatPlugin(Protocol):
    """What a module of this folder offers."""

    VERSION: int
    """Raised whenever the same scenes would be written as other bytes."""

    Config: type[ShardedConfig]

    def encode(self, scene: Scene, config: Any) -> dict[str, bytes]:
        """A scene as named bytes; the same scene gives the same bytes."""

    def write_shard(
        self, directory: Path, split: str, number: int, samples: Iterable[Sample], count: int, columns: Columns,
        config: Any,
    ) -> Path:  # fmt: skip
        """Write shard ``number`` (from 0), of exactly ``count`` samples, over what is there; return its path."""

    def finish(self, directory: Path, split: str, shards: Sequence[int], config: Any) -> None:
        """Make a split of finished shards, of so many scenes each, ready for reading; harmless when repeated."""

    def open_split(self, directory: Path, split: str) -> Reader:
        """Open a finished split; raises :class:`iodine_kit.errors.CorruptDataError` if it cannot be read."""


FORMATS: Registry[FormatPlugin] = Registry("format", "iodine_kit.formats", FormatPlugin)


def columns_of(scene: Scene) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of everything that a scene has."""
    return {name: (value.dtype.str, value.shape) for name, value in arrays_of(scene).items()}


def arrays_of(scene: Scene) -> dict[str, Array]:
    """Everything that a scene has, by column."""
    return {"image": scene.image, "mask": scene.mask, **{f"factors/{k}": v for k, v in scene.factors.items()}}


def write_split(plugin: FormatPlugin, directory: Path, split: str, scenes: Iterable[Scene], config: Any) -> None:
    """Write a whole split at once; for data sets without ``iodine-kit prepare``."""
    stream, shards = iter(scenes), list[int]()
    while shard := list(islice(stream, config.scenes_per_shard)):
        encoded: Iterator[Sample] = (Sample(scene.key, plugin.encode(scene, config)) for scene in shard)
        plugin.write_shard(directory, split, len(shards), encoded, len(shard), columns_of(shard[0]), config)
        shards.append(len(shard))
    plugin.finish(directory, split, shards, config)
