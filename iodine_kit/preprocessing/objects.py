"""How many objects a scene has, and whether it is kept."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from iodine_kit.preprocessing.config import PreprocessConfig
from iodine_kit.records import Scene


def is_kept(original: Scene, cropped: Scene, background: Collection[int], config: PreprocessConfig) -> bool:
    """Whether the number of objects is within the configuration's range; where it is not known, it is not."""
    if config.min_objects is None and config.max_objects is None:
        return True
    counted = cropped if config.count == "pixels" else original
    number = count_objects(counted, background, by_pixels=config.count == "pixels")
    if number is None:
        return False
    too_few = config.min_objects is not None and number < config.min_objects
    too_many = config.max_objects is not None and number > config.max_objects
    return not (too_few or too_many)


def count_objects(scene: Scene, background: Collection[int], *, by_pixels: bool = False) -> int | None:
    """Objects of a scene: visible rows of its factors but the background, or else foreground indices in its mask.

    Published ``visibility`` is 1 for the background too: counting it in is how "CLEVR6" came to mean five objects.
    ``None`` if nothing is known: factors without any visible row, or a mask of nothing but zeros.
    """
    visibility = scene.factors.get("visibility")
    if visibility is not None and not by_pixels:
        foreground = np.delete(visibility, list(background))
        return int(np.count_nonzero(foreground > 0)) if visibility.any() else None
    return int(np.setdiff1d(np.unique(scene.mask), list(background)).size) if scene.mask.any() else None
