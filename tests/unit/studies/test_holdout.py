"""IoU of pieces with background pixels ignored, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from iodine_kit.metrics import Comparison
from iodine_kit.records import PredictionBatch, SceneBatch
from iodine_kit.studies.holdout import _foreground_iou


def test_background_pixels_in_a_slot_do_not_lower_the_iou_of_a_piece() -> None:
    truth = np.array([[[1, 1, 2, 2, 0, 0, 0, 0]]], np.uint8)
    image = np.zeros((1, 1, 8, 3), np.uint8)

    def iou(*mask: int) -> list[float]:
        predicted = np.array([[mask]], np.uint8)
        iou_BN = _foreground_iou(Comparison(SceneBatch(("a",), image, truth), PredictionBatch(("a",), predicted), (0,)))
        return [float(value) for value in iou_BN[0, 2:4]]

    assert iou(0, 0, 1, 1, 0, 0, 0, 1) == [1.0, 1.0]
    # Slot 0 has both pixels of piece 1 and one pixel of piece 2; slot 1 has the other one.
    assert iou(0, 0, 0, 1, 1, 1, 1, 1) == pytest.approx([2 / 3, 1 / 2])
    # Both pieces are in one slot and have the same size; only one of them can be matched with it.
    assert sorted(iou(3, 3, 3, 3, 0, 0, 0, 0)) == pytest.approx([0.0, 1 / 2])
