"""A data set and a small trained run in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import TINY
from unit.stages.artifact_builders import store_scenes

from iodine_kit.config import parse_overrides
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import train
from iodine_kit.store import Artifact, Store


def square_scenes(count: int, first: int = 0) -> list[Scene]:
    """Scenes of 6×6 pixels with two rectangles of random colours before a background of two values, 0 and 3."""
    draw, scenes = np.random.default_rng(first), []
    for number in range(first, first + count):
        mask = np.zeros((6, 6), np.uint8)
        mask[:, 3:], mask[:2, :2], mask[3:, 2:5] = 3, 1, 2
        colour = draw.integers(0, 256, (4, 3), dtype=np.uint8)
        scenes.append(Scene(f"s{number}", colour[mask], mask, {"size": np.arange(4, dtype=np.float32)}))
    return scenes


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A data set ``squares`` with 12 scenes in train and 7 in test."""
    splits = {"train": square_scenes(12), "test": square_scenes(7, 12)}
    return store_scenes(tmp_path_factory.mktemp("store"), splits, DatasetInfo("squares", 0, 0, 4, (0, 3)))


@pytest.fixture(scope="session")
def trained(squares: Artifact) -> Artifact:
    """A run ``iodine-squares`` of two steps on this data set."""
    settings = [*TINY[1::2], "model.slots=3", "train.steps=2", "train.device='cpu'", "train.tensorboard=false"]
    tables: Any = parse_overrides(settings, train.TABLES)
    return run_stage(train, tables, {"dataset": squares}, Context(Store.of(squares)))


@pytest.fixture
def store(squares: Artifact) -> Path:
    """The directory of both."""
    return Store.of(squares).root
