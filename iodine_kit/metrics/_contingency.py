"""Contingency tables: pixels by true entity and slot, and the adjusted Rand index (Hubert and Arabie 1985) of them.

Most metrics are formulas of such a table, which is far smaller than the masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics._conventions import Convention, Scores
from iodine_kit.records import Array, Bytes

AT_ONCE = 1 << 19
"""Pixels counted together: few enough to stay in a processor's cache."""
MANY_RUNS = 0.1
"""Runs per pixel above which counting runs is slower than counting pixels."""
_CHAINS = 4


def count(mask: Bytes, slots: Bytes, background: Sequence[int], ignored: int | None = None) -> NDArray[np.int64]:
    """Pixels by row and slot, ``int64[B, N, K]``.

    Args:
        mask, slots: ``uint8[B, H, W]``, entity and slot of every pixel.
        background: entities that are merged into row 0; entity e has row e + 1. N and K fit the largest indices.
        ignored: value of ``mask`` whose pixels are not counted; N and K then fit the largest indices of the others.
    """
    images, height, width = mask.shape
    tall, wide = int(mask.max(initial=0)) + 1, int(slots.max(initial=0)) + 1
    mask, slots = mask.reshape(images, height * width), slots.reshape(images, height * width)
    table_BNK = np.zeros((images, tall + 1, wide), np.int64)
    together = max(1, min(images, AT_ONCE // (height * width)))
    cell = np.empty((together, height * width), np.min_scalar_type(max(tall * wide - 1, wide)))
    starting = np.empty(cell.size, bool)  # reused: new pages take time
    for first in range(0, images, together):
        some = slice(first, min(first + together, images))
        cell_BP = cell[: some.stop - first]
        np.multiply(mask[some], wide, out=cell_BP, dtype=cell.dtype)
        cell_BP += slots[some]
        table_BNK[some, 1:] = _count(cell_BP, tall * wide, starting[: cell_BP.size]).reshape(-1, tall, wide)
    if ignored is not None:
        table_BNK = _without(table_BNK, ignored + 1)
    merged = [index + 1 for index in sorted(set(background)) if 0 <= index < table_BNK.shape[1] - 1]
    table_BNK[:, 0] = table_BNK[:, merged].sum(1)
    table_BNK[:, merged] = 0
    return table_BNK


def _without(table_BNK: NDArray[np.int64], row: int) -> NDArray[np.int64]:
    """The table without the pixels of a row, and no larger than the others need: it depends on them alone."""
    table_BNK[:, row : row + 1] = 0
    rows, slots = (np.flatnonzero(table_BNK.any(axes)) for axes in ((0, 2), (0, 1)))
    return table_BNK[:, : max(rows.max(initial=0), 1) + 1, : slots.max(initial=0) + 1].copy()


def _count(cell_BP: Array, cells: int, starting: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels by image and cell, ``int64[B, cells]``; ``starting`` is a buffer of a truth value per pixel.

    Along a line of pixels the cell, which is the pair of entity and slot, seldom changes: so the lengths of runs are
    added up, which are far fewer than pixels. Masks that look like noise are counted pixel by pixel.
    """
    images, pixels = cell_BP.shape
    flat = cell_BP.ravel()
    np.not_equal(flat[1:], flat[:-1], out=starting[1:])
    starting[::pixels] = True
    if np.count_nonzero(starting[:pixels]) > MANY_RUNS * pixels:  # the first image stands for all
        return _count_pixels(cell_BP, cells)
    starts = np.flatnonzero(starting)
    lengths = np.empty(len(starts))  # float64, as bincount wants them: exact up to 2^53
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
    lengths[-1] = flat.size - starts[-1]
    place = starts // pixels
    place *= cells
    place += flat[starts]
    summed = np.bincount(place, lengths, minlength=images * cells)
    return summed.astype(np.int64).reshape(images, cells)


def _count_pixels(cell_BP: Array, cells: int) -> NDArray[np.int64]:
    """Pixels by image and cell, neighbours in different counters: adding twice to one makes a processor wait."""
    chains = max(1, min(_CHAINS, 256 // cells))
    chain_P = np.arange(cell_BP.shape[1]) % chains * cells
    cell_BP += chain_P.astype(cell_BP.dtype)
    counters = np.stack([np.bincount(cell_P, minlength=chains * cells) for cell_P in cell_BP])
    counted: NDArray[np.int64] = counters.reshape(-1, chains, cells).sum(1)
    return counted


def adjusted_rand_index(
    table_BNK: NDArray[np.int64], convention: Convention, together_B: NDArray[np.bool_] | None = None
) -> Scores:
    """ARI of every image from its pixels by true and predicted label; empty rows and columns change nothing.

    Values are in [−1, 1]. If there is no pixel, or both labellings are the same trivial one (all pixels together, or
    each alone), the correction for chance is impossible: the formula is 0/0, and the convention decides.

    Args:
        together_B: :func:`one_id_and_slot` of the whole images, which the convention ``deepmind`` needs.
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
        first: the row to which the pixels of row 0 are added. Where DeepMind's function ignores the background, its
            pixels have no true label, and the arg max of their zeros is the first entity.
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
