"""Storage formats: each module of this folder is one and offers what :class:`FormatPlugin` says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from iodine_kit.config import Config
from iodine_kit.records import Scene, SceneBatch


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

    Config: type[Config]

    def write(self, directory: Path, split: str, scenes: Iterable[Scene], count: int, config: Any) -> None:
        """Write exactly ``count`` scenes below ``directory``; the same scenes give the same bytes."""

    def open_split(self, directory: Path, split: str) -> Reader:
        """Open a written split; raises :class:`iodine_kit.errors.CorruptDataError` if it cannot be read."""
