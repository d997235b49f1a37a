from __future__ import annotations

import numpy as np

from iodine_kit.datasets import objects_room
from iodine_kit.records import Scene


def room(second_wall: bool) -> np.ndarray:
    """Sky above, floor below, one or two walls between, and an object on the floor in front of the wall."""
    mask = np.zeros((20, 20), np.uint8)
    mask[12:] = 1
    mask[6:12] = 2
    if second_wall:
        mask[6:12, 11:] = 3
    mask[9:15, 4:8] = 4 if second_wall else 3
    return mask


def test_an_object_with_the_index_of_the_second_wall_is_moved() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    one_wall, two_walls = (Scene("k", image, room(second)) for second in (False, True))
    config = objects_room.Config(repair_background=True)
    repaired = objects_room.repair(config, one_wall)
    assert np.unique(repaired.mask).tolist() == [0, 1, 2, 4]
    assert ((repaired.mask == 4) == (one_wall.mask == 3)).all()
    assert objects_room.repair(config, two_walls).mask is two_walls.mask
    assert objects_room.repair(objects_room.Config(), one_wall).mask is one_wall.mask
    empty = objects_room.Config(part="empty_room", repair_background=True)
    assert objects_room.repair(empty, one_wall).mask is one_wall.mask  # the last index is in use, so no wall is missing
