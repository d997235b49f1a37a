"""Data sets: each module of this folder is one and offers what :class:`SourcePlugin` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from iodine_kit.config import Config
from iodine_kit.records import DatasetInfo, Scene


class SourcePlugin(Protocol):
    """What a module of this folder offers."""

    VERSION: int
    """Raised whenever the same configuration would give other scenes."""

    SUMMARY: str
    """One line for lists."""

    URL: str
    """Address of the published file."""

    SPLITS: Mapping[str, int]
    """The usual splits of the published file, in the order in which they take its records."""

    Config: type[Config]

    def info(self, config: Any) -> DatasetInfo:
        """What is true of every scene."""

    def generate(self, config: Any, rng: np.random.Generator, key: str) -> Scene:
        """Sample one scene; everything random comes from ``rng``."""

    def read(self, config: Any, path: Path) -> Iterator[Scene]:
        """Read the published file, in its order.

        Raises:
            iodine_kit.errors.CorruptDataError: if its bytes are damaged.
            iodine_kit.errors.SchemaError: if it holds another data set.
        """
