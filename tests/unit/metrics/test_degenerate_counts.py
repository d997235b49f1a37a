"""A single object kept whole is 0/0 however many pixels it has: rounding must not decide."""

from __future__ import annotations

import numpy as np

from iodine_kit.metrics._contingency import adjusted_rand_index, count


def test_all_pixels_in_one_slot_are_degenerate_at_every_size() -> None:
    sizes = np.arange(1, 40_000, 7)
    scores = adjusted_rand_index(sizes[:, None, None].astype(np.int64), "deepmind")
    assert scores.degenerate is not None and scores.degenerate.all() and np.isnan(scores.values).all()


def test_the_largest_slot_with_no_object_is_counted() -> None:
    mask, slots = np.zeros((1, 2, 2), np.uint8), np.array([[[0, 255], [255, 3]]], np.uint8)
    table = count(mask, slots, (0,))
    assert table.shape == (1, 2, 256) and table[0, 0, [0, 3, 255]].tolist() == [1, 1, 2]
