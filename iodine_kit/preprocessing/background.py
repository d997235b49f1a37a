"""Objects Room: telling a second wall from the first object, which share an index in rooms that show one wall only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Bytes, Scene

_SKY_AND_FLOOR, _WALL, _DOUBTFUL = 2, 2, 3
_CONTACT = 3
"""Pixels of a border that are no accident."""


def repair_background(scene: Scene, entities: int) -> Scene:
    """Return the scene with its objects at index 4 and above, where a mask ``uint8[H, W]`` has them from 3 on.

    Judged by geometry, as the data set says nothing: the two walls of a room meet in a vertical edge and reach the
    picture's sides, so what lies above or below a wall, or stands free between sky and floor, is an object.

    Args:
        entities: rows of the published mask; where the last one is taken, nothing can have been left out.
    """
    if scene.mask.max() >= entities - 1 or not _is_object(scene.mask == _DOUBTFUL, scene.mask):
        return scene
    mask = scene.mask + (scene.mask >= _DOUBTFUL).astype(np.uint8)
    return Scene(scene.key, scene.image, mask, scene.factors)


def _is_object(doubtful: NDArray[np.bool_], mask: Bytes) -> bool:
    """Whether the entity at index 3 cannot be a wall."""
    wall, open_space = mask == _WALL, mask < _SKY_AND_FLOOR
    above = np.count_nonzero((wall[:-1] & doubtful[1:]).any(0))
    below = np.count_nonzero((wall[1:] & doubtful[:-1]).any(0))
    left = np.count_nonzero((open_space[:, :-1] & doubtful[:, 1:]).any(1)) >= _CONTACT
    right = np.count_nonzero((open_space[:, 1:] & doubtful[:, :-1]).any(1)) >= _CONTACT
    reaches_left, reaches_right = doubtful[:, 0].any(), doubtful[:, -1].any()
    free = (left and right) or (left and not reaches_right) or (right and not reaches_left)
    return bool(max(above, below) >= _CONTACT or free)
