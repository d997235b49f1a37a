"""IoU of pieces where background pixels do not count, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from iodine_kit.metrics import Comparison
from iodine_kit.records import PredictionBatch, SceneBatch
from iodine_kit.studies.holdout import _foreground_iou


def test_background_in_a_slot_costs_a_piece_nothing() -> None:
    truth = np.array([[[1, 1, 2, 2, 0, 0, 0, 0]]], np.uint8)
    image = np.zeros((1, 1, 8, 3), np.uint8)

    def iou(*mask: int) -> list[float]:
        predicted = np.array([[mask]], np.uint8)
        found = _foreground_iou(Comparison(SceneBatch(("a",), image, truth), PredictionBatch(("a",), predicted), (0,)))
        return [float(value) for value in found[0, 2:4]]

    assert iou(0, 0, 1, 1, 0, 0, 0, 1) == [1.0, 1.0]
    # Slot 0 has both pixels of piece 1 and one of piece 2; slot 1 the other one.
    assert iou(0, 0, 0, 1, 1, 1, 1, 1) == pytest.approx([2 / 3, 1 / 2])
    # One slot for both: the pieces are as large, and only one of them can have it.
    assert sorted(iou(3, 3, 3, 3, 0, 0, 0, 0)) == pytest.approx([0.0, 1 / 2])
