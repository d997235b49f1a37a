"""What a validation asks of a data set, before the first step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from unit.stages.artifact_builders import store_scenes

from iodine_kit.errors import ConfigError
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.stages.train.validation import Validation
from iodine_kit.store import Artifact
from iodine_kit.training.config import TrainConfig


def dataset(root: Path, *owners: int) -> Artifact:
    """Scenes of 4×4 pixels, one of which belongs to the entity that is told."""
    scenes = []
    for number, owner in enumerate(owners):
        mask = np.zeros((4, 4), np.uint8)
        mask[0, 0] = owner
        scenes.append(Scene(f"scene-{number}", np.zeros((4, 4, 3), np.uint8), mask))
    return store_scenes(root, {"val": scenes}, DatasetInfo("blocks", 0, 0, 3, background=(0, 2)))


def config(select: str) -> TrainConfig:
    return TrainConfig(validate_every=1, validate_scenes=3, batch_size=2, select=select)


@pytest.mark.parametrize("owners", [(0, 0, 0, 1), (0, 2, 0)])
def test_the_best_fg_ari_is_not_looked_for_where_there_is_none(tmp_path: Path, owners: tuple[int, ...]) -> None:
    """The first three count, and the second entity is background."""
    stored = dataset(tmp_path, *owners)
    with pytest.raises(ConfigError) as caught:
        Validation(config("best"), stored)
    assert str(caught.value) == (
        "train.select=best needs true masks, and the first 3 scenes of 'val' have none: use train.select=best-elbo"
    )
    for select in ("last", "best-elbo"):
        assert Validation(config(select), stored).scenes == 3


def test_one_scene_with_truth_is_enough(tmp_path: Path) -> None:
    assert Validation(config("best"), dataset(tmp_path, 0, 0, 1)).scenes == 3
