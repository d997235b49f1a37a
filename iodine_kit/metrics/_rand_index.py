"""The adjusted Rand index (Hubert and Arabie 1985), for many images at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics._conventions import Convention, Scores


def adjusted_rand_index(
    table_BNK: NDArray[np.int64], convention: Convention, together_B: NDArray[np.bool_] | None = None
) -> Scores:
    """ARI of every image from its pixels by true and predicted label; empty rows and columns do no harm.

    Values are in [−1, 1]. Where there is no pixel, or both labellings are the same trivial one (all pixels together, or
    each alone), chance cannot be corrected for: the formula is 0/0, and the convention decides.

    Args:
        together_B: of whole images, :func:`one_id_and_slot`, which the convention ``deepmind`` asks for.
    """
    true_BN, predicted_BK = table_BNK.sum(2), table_BNK.sum(1)
    pixels = true_BN.sum(1)
    together, in_true, in_predicted = (_pairs(counts, pixels) for counts in (table_BNK, true_BN, predicted_BK))
    # Counts stay exact integers (an image of 2^15 pixels has pair counts beyond float32); products need float64.
    pairs = pixels * (pixels - 1) // 2
    expected = in_true.astype(np.float64) * in_predicted / np.maximum(pairs, 1)
    largest = (in_true + in_predicted) / 2
    # In integers: the same trivial labelling on both sides, all pixels together or each alone.
    degenerate = (in_true == in_predicted) & ((in_true == 0) | (in_true == pairs))
    index = (together - expected) / np.where(degenerate, 1.0, largest - expected)
    decided = np.where(pixels > 0, *_DECIDED[convention])
    if convention == "deepmind" and together_B is not None:
        decided = np.where(together_B, 1.0, decided)
    return Scores(np.where(degenerate, decided, index), degenerate)


def one_id_and_slot(table_BNK: NDArray[np.int64], first: int = 0) -> NDArray[np.bool_]:
    """Whether all pixels of an image, background included, have one true id and lie in one slot; ``bool[B]``.

    Args:
        first: the row that the pixels of row 0 count with. Where DeepMind's function leaves the background out, its
            pixels have no true label, and the largest of their zeros is the first: that of the first entity.
    """
    pixels_B, true_BN = table_BNK.sum((1, 2)), table_BNK.sum(2)
    if 0 < first < true_BN.shape[1]:
        true_BN[:, first] += true_BN[:, 0]
    together: NDArray[np.bool_] = (true_BN.max(1) == pixels_B) & (table_BNK.sum(1).max(1) == pixels_B)
    return together


_DECIDED: dict[Convention, tuple[float, float]] = {
    "deepmind": (np.nan, np.nan),
    "emorl": (1.0, 0.0),
    "ones": (1.0, 1.0),
    "exclude": (1.0, np.nan),
}
"""With pixels and without any."""


def _pairs(counts: NDArray[np.int64], pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of pixels that are counted together, Σ n (n − 1) / 2, where Σ n is ``pixels``; ``int64[B]``."""
    flat = counts.reshape(len(counts), int(np.prod(counts.shape[1:])))
    squares: NDArray[np.int64] = np.einsum("bn,bn->b", flat, flat)
    return (squares - pixels) // 2
