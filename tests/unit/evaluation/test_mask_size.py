"""Resizing, against Pillow, and truth from another preparation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from unit.stages.foreseen import store_masks, store_predictions
from unit.stages.test_evaluate import evaluated

from iodine_kit.artifacts.evaluations import read_objects
from iodine_kit.errors import SchemaError
from iodine_kit.evaluation.mask_size import Resolution
from iodine_kit.preprocessing import nearest
from iodine_kit.records import PredictionBatch, SceneBatch

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def soft_masks(scenes: int = 3, slots: int = 4, height: int = 6, width: int = 8) -> np.ndarray:
    logits = np.random.default_rng(0).normal(size=(scenes, slots, height, width))
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(12, 12), (9, 20), (4, 5)])
def test_soft_masks_are_resized_as_pillow_does_and_then_hardened(kind: str, size: tuple[int, int]) -> None:
    soft = soft_masks()
    keys = ("a", "b", "c")
    resolution = Resolution((6, 8), size, size, kind)  # type: ignore[arg-type]
    found = resolution.predicted(PredictionBatch(keys, soft.argmax(1).astype(np.uint8), soft_mask=soft), Path("p.h5"))
    theirs = np.stack(
        [[np.asarray(Image.fromarray(mask).resize(size[::-1], FILTERS[kind])) for mask in scene] for scene in soft]
    )
    assert found.mask.dtype == np.uint8 and found.soft_mask is None
    differing = found.mask != theirs.argmax(1)
    top = np.sort(theirs, 1)
    assert (top[:, -1] - top[:, -2])[differing].max(initial=0) < 1e-6  # only where two slots are equal but for rounding
    assert kind in resolution.sentence() and f"{size[0]}×{size[1]}" in resolution.sentence()


def clear_of_borders(old: int, new: int) -> np.ndarray:
    """Pixels whose centre is not exactly between two old ones, where Pillow's sum of rounded steps decides."""
    return np.array([(2 * i + 1) * old % (2 * new) != 0 for i in range(new)])


@pytest.mark.parametrize("size", [(12, 12), (9, 20), (4, 5), (6, 8)])
def test_hard_masks_and_images_are_resized_as_pillow_does_by_nearest_neighbour(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).integers(0, 5, (6, 8), np.uint8)
    rows, columns = (clear_of_borders(old, new) for old, new in zip(mask.shape, size, strict=True))
    theirs = np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
    np.testing.assert_array_equal(nearest(mask, size)[rows][:, columns], theirs[rows][:, columns])
    image = np.random.default_rng(2).integers(0, 256, (6, 8, 3), np.uint8)
    batch = Resolution((1, 1), (6, 8), size).true(SceneBatch(("a",), image[None], mask[None]))
    theirs = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.NEAREST))
    np.testing.assert_array_equal(batch.image[0][rows][:, columns], theirs[rows][:, columns])


def test_a_soft_mask_that_is_not_a_number_names_its_scene() -> None:
    soft = soft_masks()
    soft[1, 0, 2, 2] = np.nan
    prediction = PredictionBatch(("a", "b", "c"), soft.argmax(1).astype(np.uint8), soft_mask=soft)
    with pytest.raises(SchemaError, match=r"p\.h5: the soft masks of scene 'b' contain NaN or infinity"):
        Resolution((6, 8), (12, 16), (12, 16)).predicted(prediction, Path("p.h5"))
    same = Resolution((6, 8), (6, 8), (6, 8))
    assert same.predicted(prediction, Path("p.h5")).mask is prediction.mask and not same.needs  # not even looked at


def squares(side: int) -> np.ndarray:
    """Three scenes of two squares, at any multiple of 8 pixels the same picture."""
    masks = np.zeros((3, 8, 8), np.uint8)
    for i, mask in enumerate(masks):
        mask[1:4, 1 : 4 + i] = 1
        mask[5:8, 2:6] = 2
    return masks.repeat(side // 8, 1).repeat(side // 8, 2)


def test_the_truth_of_another_preparation_is_taken_as_it_is(tmp_path: Path) -> None:
    small, large = store_masks(tmp_path, squares(16), size=16), store_masks(tmp_path, squares(24), size=24)
    one_hot = (squares(16)[:, None] == np.arange(3)[:, None, None]).astype(np.float16)
    fields = {"soft_mask": one_hot, "reconstruction": np.zeros((3, 16, 16, 3), np.float32)}
    predictions = store_predictions(tmp_path, small, squares(16), **fields)
    evaluation = evaluated(tmp_path, predictions, small, large, resolution=24, metrics=["ari", "mse"])
    facts = evaluation.facts
    assert facts["resolution"] == [24, 24] == facts["metrics"]["ari"]["resolution"]
    assert facts["metrics"]["mse"]["resolution"] == [16, 16] and facts["metrics"]["ari"]["mean"] > 0.9
    assert read_objects(evaluation)["pixels"].tolist()[:2] == [81, 108]  # as in the larger masks
    assert "true masks as they were prepared at that size" in facts["resize"]
    assert evaluation.manifest.identity.inputs["truth"] == large.reference
    assert evaluation.manifest.identity.inputs["dataset"] == small.reference
    with pytest.raises(SchemaError, match=r"16×16 pixels, and .* true masks of 24×24: .* --set eval.resolution=24"):
        evaluated(tmp_path, predictions, small, large)


def test_hard_masks_alone_are_resized_by_nearest_neighbour_and_the_result_states_it(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, squares(8))
    predictions = store_predictions(tmp_path, dataset, squares(8), step_mask=squares(8)[:, None])
    facts = evaluated(tmp_path, predictions, dataset, resolution=32, metrics=["ari"]).facts
    assert facts["metrics"]["ari"]["mean"] == 1 and facts["metrics"]["ari"]["by_step"] == [1]
    assert "only hard ones are stored, resized from 8×8 by nearest neighbour" in facts["resize"]
    assert "true masks resized from 8×8 by nearest neighbour" in facts["resize"]


@pytest.mark.parametrize(
    ("seed", "scenes", "told"),
    [
        (1, 3, "does not hold the scenes of .* in another size: dataset.seed: 0 -> 1"),
        (0, 2, "number 2 is not 'test-002'"),
    ],
)
def test_truth_of_other_scenes_is_refused(seed: int, scenes: int, told: str, tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, squares(8), size=8)
    other = store_masks(tmp_path, squares(16)[:scenes], size=16, seed=seed)
    predictions = store_predictions(tmp_path, dataset, squares(8))
    with pytest.raises(SchemaError, match=told):
        evaluated(tmp_path, predictions, dataset, other, resolution=16)
