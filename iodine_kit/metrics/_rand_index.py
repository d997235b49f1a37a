"""The adjusted Rand index (Hubert and Arabie 1985), for many images at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array


def adjusted_rand_index(true: Array, predicted: Array, counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """ARI of every image over its counted pixels.

    Args:
        true, predicted: ``uint8[B, P]`` labels, any values.
        counted: ``bool[B, P]``, the pixels that take part.

    Returns:
        ``float64[B]`` in [−1, 1]. Where both labellings are the same trivial one (all pixels together, or each alone)
        chance cannot be corrected for, and the answer is 1, as in scikit-learn. Without any counted pixel it is NaN.
    """
    table_BTP = _contingency(true, predicted, counted)
    pixels = table_BTP.sum((1, 2))
    together = _pairs(table_BTP).sum((1, 2))
    in_true, in_predicted = _pairs(table_BTP.sum(2)).sum(1), _pairs(table_BTP.sum(1)).sum(1)
    # Counts stay exact integers (an image of 2^15 pixels has pair counts beyond float32); products need float64.
    expected = in_true.astype(np.float64) * in_predicted / np.maximum(_pairs(pixels), 1)
    largest = (in_true + in_predicted) / 2
    trivial = largest == expected
    index = np.where(trivial, 1.0, (together - expected) / np.where(trivial, 1.0, largest - expected))
    return np.where(pixels > 0, index, np.nan)


def _contingency(true: Array, predicted: Array, counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels by true and predicted label, ``int64[B, T, P]``; empty rows and columns do no harm."""
    images = len(true)
    rows, columns = int(true.max(initial=0)) + 1, int(predicted.max(initial=0)) + 1
    image = np.arange(images, dtype=np.int64)[:, None]
    cell = (image * rows + true) * columns + predicted
    return np.bincount(cell[counted], minlength=images * rows * columns).reshape(images, rows, columns)


def _pairs(count: NDArray[np.int64]) -> NDArray[np.int64]:
    return count * (count - 1) // 2
