"""Several segmentations of one image: how similar they are, and how many different ones (modes) there are."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit.metrics import adjusted_rand_index
from iodine_kit.records import Bytes

Linkage = Literal["complete", "single", "average"]


def pairwise_ari(labels_RP: Bytes) -> NDArray[np.float64]:
    """ARI between any two of R segmentations of the same P pixels, ``float64[R, R]``; 1 if both are equally trivial.

    The names of labels do not matter: two segmentations that differ only in the order of their slots have ARI 1.
    """
    runs, pixels = labels_RP.shape
    labels = int(labels_RP.max()) + 1 if pixels else 1
    first, second = np.triu_indices(runs)
    tables = np.zeros((len(first), labels, labels), np.int64)
    rows = np.repeat(np.arange(len(first)), pixels)
    np.add.at(tables, (rows, labels_RP[first].ravel(), labels_RP[second].ravel()), 1)
    values = np.nan_to_num(adjusted_rand_index(tables, "ones").values, nan=1.0)
    result = np.ones((runs, runs))
    result[first, second] = result[second, first] = values
    return result


def modes_of(ari_RR: NDArray[np.float64], threshold: float, linkage: Linkage) -> NDArray[np.int64]:
    """The mode of each of R segmentations, ``int64[R]``; the most frequent mode is 0.

    With ``complete`` linkage, any two segmentations of a mode have ARI ≥ threshold. With ``single`` linkage, modes are
    the connected components of the graph of pairs with ARI ≥ threshold.
    """
    from scipy.cluster import hierarchy

    runs = len(ari_RR)
    if runs == 1:
        return np.zeros(1, np.int64)
    distances = 1 - ari_RR[np.triu_indices(runs, 1)]
    # The small constant keeps pairs exactly at the threshold together despite rounding.
    clusters = hierarchy.fcluster(hierarchy.linkage(distances, linkage), 1 - threshold + 1e-9, "distance")
    _, numbers, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank[numbers]


def owners(true_mask: Bytes, labels_RHW: Bytes, entities: int, slots: int) -> NDArray[np.int64]:
    """The slot that has most pixels of each entity, in every segmentation.

    Args:
        true_mask: ``uint8[H, W]`` with values below ``entities``.
        labels_RHW: ``uint8[R, H, W]`` with values below ``slots``.

    Returns:
        ``int64[R, entities - 1]`` for entities from 1 on; −1 for an entity without pixels.
    """
    runs = len(labels_RHW)
    result = np.full((runs, entities - 1), -1, np.int64)
    for entity in range(1, entities):
        inside = true_mask == entity
        if inside.any():
            counts = np.stack([(labels_RHW[:, inside] == slot).sum(1) for slot in range(slots)], 1)
            result[:, entity - 1] = counts.argmax(1)
    return result


def shared_by_chance(objects: int, slots: int) -> float:
    """Probability that at least two objects share a slot if each chooses one of the slots at random."""
    return 1 - math.prod((slots - taken) / slots for taken in range(objects))


def shared(owner_RE: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether two objects or more have the same slot, ``bool[R]``; −1 is no slot."""
    ordered = np.sort(owner_RE, 1)
    result: NDArray[np.bool_] = ((np.diff(ordered, axis=1) == 0) & (ordered[:, 1:] >= 0)).any(1)
    return result
