"""The picture of a segmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import iodine_kit as ik
from iodine_kit.store import Artifact

SIDE, GAP, HEAD = 96, 4, 16
"""Of images of 6×6 pixels, enlarged 16 times; between them; above them."""


@pytest.fixture
def segmented(squares: Artifact, trained: Artifact) -> tuple[ik.SceneBatch, ik.Segmentation]:
    batch = ik.load_dataset(squares)[:3]
    return batch, ik.load_model(trained, device="cpu").segment(batch.image, steps=2)


def test_it_shows_input_true_mask_prediction_reconstruction_and_slots(
    segmented: tuple[ik.SceneBatch, ik.Segmentation], tmp_path: Path
) -> None:
    batch, segmentation = segmented
    figure = ik.segmentation_figure(batch, segmentation)
    figure.save(tmp_path / "figure.png")
    pixels = np.asarray(Image.open(tmp_path / "figure.png"))
    part = SIDE + GAP
    assert pixels.shape == (HEAD + 3 * part + GAP, (4 * part + GAP) + (3 * part + GAP), 3)
    for row in range(3):
        top = HEAD + GAP + row * part
        np.testing.assert_array_equal(pixels[top : top + SIDE : 16, GAP : GAP + SIDE : 16], batch.image[row])
        left = 4 * part + 2 * GAP + part  # slot 1
        drawn = segmentation.component[row, 1] * segmentation.soft_mask[row, 1, ..., None]
        np.testing.assert_allclose(pixels[top : top + SIDE : 16, left : left + SIDE : 16], drawn, atol=0.51)


def test_pixels_to_ignore_have_a_legend_below(segmented: tuple[ik.SceneBatch, ik.Segmentation]) -> None:
    batch, segmentation = segmented
    plain = ik.segmentation_figure(batch, segmentation)
    mask = batch.mask.copy()
    mask[:, 4:] = 255
    other = ik.segmentation_figure(replace(batch, mask=mask, ignored=255), segmentation)
    assert other.size == (plain.width, plain.height + HEAD)
    below = np.asarray(other)[plain.height :]
    assert (below[:, :SIDE] < 255).any() and (below[:, 4 * (SIDE + GAP) :] == 255).all()


def test_images_alone_have_no_true_masks_and_every_step_can_be_shown(
    segmented: tuple[ik.SceneBatch, ik.Segmentation],
) -> None:
    batch, segmentation = segmented
    part = SIDE + GAP
    alone = ik.segmentation_figure(batch.image, segmentation, rows=2)
    assert alone.size == ((3 * part + GAP) + (3 * part + GAP), HEAD + 2 * part + GAP)
    floats = ik.segmentation_figure(batch.image / 255, segmentation, rows=2)
    assert floats.tobytes() == alone.tobytes()
    steps = ik.segmentation_figure(batch, segmentation, every_step=True)
    assert steps.size[0] == (6 * part + GAP) + (3 * part + GAP)


def test_scenes_that_were_not_segmented_are_refused_by_name(segmented: tuple[ik.SceneBatch, ik.Segmentation]) -> None:
    batch, segmentation = segmented
    with pytest.raises(ValueError, match=r"^scenes: the masks have shape \[2, 6, 6\].* of the segmentation \[3"):
        ik.segmentation_figure(batch[:2], segmentation)
    with pytest.raises(ValueError, match=r"^scenes: the shape is \[6, 6, 3\]"):
        ik.segmentation_figure(batch.image[0], segmentation)
    with pytest.raises(ValueError, match=r"^rows: "):
        ik.segmentation_figure(batch, segmentation, rows=0)
