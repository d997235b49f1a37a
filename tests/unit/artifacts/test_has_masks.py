"""Which splits have masks, also of data sets that an older release prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.stages.artifact_builders import block_scenes, store_scenes

from iodine_kit.artifacts.dataset import has_masks, lack_of_masks, open_split, require_masks
from iodine_kit.errors import SchemaError
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.store import Artifact

INFO = DatasetInfo("blocks", 0, 0, 2)


def bare(count: int) -> list[Scene]:
    """Scenes without masks."""
    return [Scene(one.key, one.image, np.zeros_like(one.mask), has_mask=False) for one in block_scenes(count)]


def with_facts(dataset: Artifact, config: dict[str, Any], **facts: Any) -> Artifact:
    """The artifact as another release would have described it."""
    identity = dataset.manifest.identity.model_copy(update={"config": {**dataset.config, **config}})
    manifest = dataset.manifest.model_copy(update={"facts": {**dataset.facts, **facts}, "identity": identity})
    return type(dataset)(dataset.path, manifest)


def test_each_split_has_masks_or_not(tmp_path: Path) -> None:
    dataset = store_scenes(tmp_path, {"train": bare(2), "test": block_scenes(2)}, INFO)
    assert not has_masks(dataset, "train") and has_masks(dataset, "test")
    assert lack_of_masks(dataset, "train") == f"split 'train' of {dataset.path} has no masks"
    assert lack_of_masks(dataset, "test") == ""


def test_scenes_and_batches_say_whether_they_have_masks(tmp_path: Path) -> None:
    dataset = store_scenes(tmp_path, {"train": bare(3), "test": block_scenes(3)}, INFO)
    for split, masked in (("train", False), ("test", True)):
        reader = open_split(dataset, split)
        assert reader.batch([0, 2]).has_masks is masked and reader.scene(1).has_mask is masked
        assert len(reader) == 3 and reader.keys() == ["s0", "s1", "s2"]
        np.testing.assert_array_equal(reader.batch([1]).image[0], block_scenes(3)[1].image)
        reader.close()


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ({}, {"info": {**vars(INFO), "height": 6, "width": 6, "entities": 1}}),
        ({}, {"origin": {"kind": "published", "layout": "clevr-v1"}}),
        ({"layout": {"name": "npy", "masks": False}}, {}),
    ],
    ids=["no scene has an entity", "the original CLEVR", "arrays of images alone"],
)
def test_data_sets_of_older_releases_are_recognised(
    tmp_path: Path, config: dict[str, Any], facts: dict[str, Any]
) -> None:
    dataset = store_scenes(tmp_path, {"test": block_scenes(2)}, INFO)
    assert has_masks(dataset, "test")
    older = with_facts(dataset, config, **facts)
    assert not has_masks(older, "test") and not open_split(older, "test").batch([0]).has_masks


def test_what_needs_masks_is_refused_with_the_reason_and_the_remedy(tmp_path: Path) -> None:
    dataset = store_scenes(tmp_path, {"train": bare(2), "test": block_scenes(2)}, INFO)
    require_masks(dataset, "test", "nothing", "")
    with pytest.raises(SchemaError) as caught:
        require_masks(dataset, "train", "a count needs true masks", "count another split")
    assert str(caught.value) == (
        f"a count needs true masks, but split 'train' of {dataset.path} has no masks: count another split"
    )
