"""Scenes to store, and whether they are read back unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iodine_kit.datasets import tetrominoes
from iodine_kit.formats import FORMATS, write_split
from iodine_kit.records import Scene

each_format = pytest.mark.parametrize("name", FORMATS.names())


def scenes(count: int) -> list[Scene]:
    config = tetrominoes.Config(cell=2)
    return [tetrominoes.generate(config, np.random.default_rng(i), f"train-{i:08d}") for i in range(count)]


def written(name: str, directory: Path, given: list[Scene], **options: object) -> Path:
    plugin = FORMATS.load(name)
    directory.mkdir(parents=True, exist_ok=True)
    write_split(plugin, directory, "train", iter(given), plugin.Config(**options))
    return directory


def same(a: Scene, b: Scene) -> bool:
    factors = a.factors.keys() == b.factors.keys() and all(
        a.factors[n].dtype == b.factors[n].dtype and (a.factors[n] == b.factors[n]).all() for n in a.factors
    )
    return a.key == b.key and (a.image == b.image).all() and (a.mask == b.mask).all() and factors
