"""Index masks from the other ways in which masks are published."""

from __future__ import annotations

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.records import Array, Bytes


def exclusive_index(owned: Array, place: str) -> Bytes:
    """Turn one mask per entity, ``bool[N, H, W]`` with N ≤ 256, into an index mask ``uint8[H, W]``.

    Raises:
        SchemaError: if a pixel belongs to no entity, or to several, so that an index would lose something.
    """
    # Sums of bytes over whole planes: many times as fast as argmax, which walks across them pixel by pixel.
    ones = np.ascontiguousarray(owned).view(np.uint8)
    owners = np.add.reduce(ones, 0, np.uint8)
    if np.count_nonzero(owners == 1) < owners.size:
        y, x = np.argwhere(owners != 1)[0]
        problem = f"pixel ({y}, {x}) belongs to {np.count_nonzero(owned[:, y, x])} entities; masks must be exclusive"
        raise SchemaError(f"{place}: {problem}")
    numbers = np.arange(len(ones), dtype=np.uint8)
    index: Bytes = np.add.reduce(ones * numbers[:, None, None], 0, np.uint8)
    return index


def small_index(index: Array, entities: int, place: str) -> Bytes:
    """Return an integer index mask as ``uint8``.

    Raises:
        SchemaError: if an index is below 0 or not below ``entities``.
    """
    lowest, highest = int(index.min()), int(index.max())
    if lowest < 0 or highest >= min(entities, 256):
        raise SchemaError(f"{place}: mask has indices {lowest} to {highest}; there are {entities} entities at most")
    return index.astype(np.uint8)
