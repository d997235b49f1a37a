"""The first scenes of a data set with their masks, as one picture: look before you train."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image

from iodine_kit.records import Bytes, Scene
from iodine_kit.reporting.colours import BACKGROUND, entity_colours

_COLUMNS, _GAP, _SIDE = 6, 4, 96
_PAPER = (255, 255, 255)


def contact_sheet(scenes: Sequence[Scene], background: Collection[int]) -> bytes:
    """A PNG: each scene's image, and to its right its mask, every entity in its colour.

    Args:
        scenes: all of one size; small ones are enlarged by a whole number.
        background: mask indices that are shown near-black.
    """
    factor = max(1, round(_SIDE / max(scenes[0].mask.shape)))
    height, width = (factor * side for side in scenes[0].mask.shape)
    columns = min(_COLUMNS, len(scenes))
    rows = -(-len(scenes) // columns)
    cell = (height + _GAP, 2 * width + 2 * _GAP)
    sheet = np.full((rows * cell[0] + _GAP, columns * cell[1] + _GAP, 3), _PAPER, np.uint8)
    for number, scene in enumerate(scenes):
        row, column = divmod(number, columns)
        pair = np.concatenate([scene.image, coloured(scene.mask, background)], axis=1)
        top, left = _GAP + row * cell[0], _GAP + column * cell[1]
        sheet[top : top + height, left : left + 2 * width] = pair.repeat(factor, 0).repeat(factor, 1)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def coloured(mask: Bytes, background: Collection[int]) -> Bytes:
    """An index mask ``uint8[H, W]`` as colours ``uint8[H, W, 3]``; several backgrounds are several near-blacks."""
    palette = entity_colours(256)
    for shade, index in enumerate(sorted(background)):
        palette[index] = BACKGROUND + 24 * shade
    return palette[mask]
