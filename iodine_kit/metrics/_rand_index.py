"""The adjusted Rand index (Hubert and Arabie 1985), for many images at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics import Convention, Scores


def adjusted_rand_index(table_BNK: NDArray[np.int64], convention: Convention) -> Scores:
    """ARI of every image from its pixels by true and predicted label; empty rows and columns do no harm.

    Values are in [−1, 1]. Where there is no pixel, or both labellings are the same trivial one (all pixels together, or
    each alone), chance cannot be corrected for: the formula is 0/0, and the convention decides.
    """
    pixels = table_BNK.sum((1, 2))
    together = _pairs(table_BNK).sum((1, 2))
    in_true, in_predicted = _pairs(table_BNK.sum(2)).sum(1), _pairs(table_BNK.sum(1)).sum(1)
    # Counts stay exact integers (an image of 2^15 pixels has pair counts beyond float32); products need float64.
    expected = in_true.astype(np.float64) * in_predicted / np.maximum(_pairs(pixels), 1)
    largest = (in_true + in_predicted) / 2
    degenerate = largest == expected
    index = (together - expected) / np.where(degenerate, 1.0, largest - expected)
    decided = np.where(pixels > 0, *_DECIDED[convention])
    return Scores(np.where(degenerate, decided, index), degenerate)


_DECIDED: dict[Convention, tuple[float, float]] = {
    "deepmind": (np.nan, np.nan),
    "emorl": (1.0, 0.0),
    "ones": (1.0, 1.0),
    "exclude": (1.0, np.nan),
}
"""With pixels and without any."""


def _pairs(count: NDArray[np.int64]) -> NDArray[np.int64]:
    return count * (count - 1) // 2
