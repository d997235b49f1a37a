from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from iodine_kit.records import Bytes, PredictionBatch, Scene, SceneBatch
from iodine_kit.reporting.colours import BACKGROUND, PALETTE
from iodine_kit.reporting.image_grid import contact_sheet, enlargement, segmentation_grid, tile

GAP, HEAD, FACTOR = 4, 16, 12  # 8 pixels become 96
CELL = 8 * FACTOR + GAP


def scenes(count: int = 2, masks: bool = True) -> SceneBatch:
    """An object on the left of every image."""
    mask = np.zeros((count, 8, 8), np.uint8)
    mask[:, 2:6, :4] = 1 if masks else 0
    image = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return SceneBatch(tuple(f"s{i}" for i in range(count)), image, mask)


def predict(truth: Bytes, steps: int | None = 3, reconstruction: bool = True) -> PredictionBatch:
    """Slot 2 has the object and slot 0 the background; before the last decode slot 0 has all pixels."""
    mask = np.where(truth == 1, 2, 0).astype(np.uint8)
    before = None if steps is None else np.stack([np.zeros_like(mask)] * (steps - 1) + [mask], 1)
    mean = np.full((*truth.shape, 3), 1.5, np.float32) if reconstruction else None
    return PredictionBatch(tuple(map(str, range(len(truth)))), mask, before, reconstruction=mean)


def cell(picture: Bytes, line: int, column: int) -> Bytes:
    """One picture of the grid at its own size."""
    part = picture[HEAD + GAP + line * CELL : HEAD + (line + 1) * CELL, GAP + column * CELL : (column + 1) * CELL]
    small = part[::FACTOR, ::FACTOR]
    assert (small.repeat(FACTOR, 0).repeat(FACTOR, 1) == part).all()
    return small


def test_a_line_shows_the_input_the_masks_and_the_reconstruction() -> None:
    batch = scenes()
    picture = segmentation_grid(batch, predict(batch.mask))
    assert picture.dtype == np.uint8 and picture.shape == (HEAD + 2 * CELL + GAP, 6 * CELL + GAP, 3)
    for line in range(2):
        assert (cell(picture, line, 0) == batch.image[line]).all()
        expected = np.where(batch.mask[line][..., None] == 1, PALETTE[0], BACKGROUND)
        assert (cell(picture, line, 1) == expected).all()
        assert (cell(picture, line, 2) == BACKGROUND).all()
        assert (cell(picture, line, 4) == expected).all()  # the slot has its object's colour
        assert (cell(picture, line, 5) == 255).all()


@pytest.mark.parametrize(("steps", "reconstruction", "columns"), [(None, True, 4), (None, False, 3), (40, True, 9)])
def test_missing_columns_are_omitted_and_at_most_six_decodes_are_shown(
    steps: int | None, reconstruction: bool, columns: int
) -> None:
    batch = scenes(1)
    picture = segmentation_grid(batch, predict(batch.mask, steps, reconstruction))
    assert picture.shape[1] == columns * CELL + GAP
    last = cell(picture, 0, columns - 1 - reconstruction)
    assert (last[3, 0] == PALETTE[0]).all()


def test_without_true_masks_slots_have_different_colours() -> None:
    mask = scenes(1).mask
    picture = segmentation_grid(scenes(1, masks=False), predict(mask, None))
    assert picture.shape[1] == 3 * CELL + GAP
    predicted = cell(picture, 0, 1)
    assert len(np.unique(predicted.reshape(-1, 3), axis=0)) == 2
    assert not (predicted == BACKGROUND).all(-1).any()


def test_a_contact_sheet_of_scenes_without_masks_shows_the_images_alone() -> None:
    one = scenes(1)
    masked = [Scene("a", one.image[0], one.mask[0])] * 2
    sheets = [
        np.asarray(Image.open(io.BytesIO(contact_sheet(some, (0,)))))
        for some in (masked, [replace(scene, has_mask=False) for scene in masked])
    ]
    side = enlargement(one.mask.shape[1:]) * one.mask.shape[2]
    assert sheets[0].shape[1] - sheets[1].shape[1] == 2 * side
    first = slice(GAP, GAP + side)
    np.testing.assert_array_equal(sheets[1][first, first], sheets[0][first, first])


def test_large_images_keep_their_size() -> None:
    batch = SceneBatch(("a",), np.zeros((1, 100, 120, 3), np.uint8), np.ones((1, 100, 120), np.uint8))
    assert segmentation_grid(batch, PredictionBatch(("a",), batch.mask)).shape == (
        HEAD + 100 + 2 * GAP,
        3 * 120 + 4 * GAP,
        3,
    )


def test_every_column_has_a_caption_and_the_same_input_gives_the_same_picture() -> None:
    batch = scenes(1)
    picture = segmentation_grid(batch, predict(batch.mask))
    head = [picture[:HEAD, GAP + column * CELL : (column + 1) * CELL] for column in range(6)]
    assert all((caption < 128).any() for caption in head)
    assert (segmentation_grid(batch, predict(batch.mask)) == picture).all()
    plain, captioned = (tile([[batch.image[0]] * 2], FACTOR, captions) for captions in ((), ("a", "b")))
    assert (captioned[HEAD:] == plain).all(), "captions do not touch the pictures"
