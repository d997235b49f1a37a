"""What DeepMind's multi_object_datasets have in common."""

from __future__ import annotations

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.records import Bytes
from iodine_kit.tfrecord import RawExample


def index_mask(raw: RawExample, mask: Bytes) -> Bytes:
    """Turn one mask per entity, ``uint8[N, H, W, 1]`` of 0 and 255, into an index mask ``uint8[H, W]``.

    Raises:
        SchemaError: if a pixel belongs to no entity, or to several, so that an index would lose something.
    """
    owned = mask[..., 0] > 127
    owners = owned.sum(0)
    if not (owners == 1).all():
        y, x = np.argwhere(owners != 1)[0]
        problem = f"pixel ({y}, {x}) belongs to {owners[y, x]} entities; masks must be exclusive"
        raise SchemaError(f"{raw.path}: record {raw.index}: {problem}")
    index: Bytes = owned.argmax(0).astype(np.uint8)
    return index
