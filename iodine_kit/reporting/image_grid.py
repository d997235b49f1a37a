"""Scenes with their masks, or with what a model sees in them, as one picture: a line per scene."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image

from iodine_kit.records import Array, Bytes, PredictionBatch, Scene, SceneBatch
from iodine_kit.reporting import colours, pictures
from iodine_kit.reporting.colours import BACKGROUND, entity_colours

_GAP, _SIDE, _PAPER = 4, 96, 255
_COLUMNS = 6
_MOST_STEPS = 6


def mosaic(scenes: SceneBatch, predictions: PredictionBatch) -> Bytes:
    """``uint8[H', W', 3]``: from left to right input, true mask, predicted mask after each decode, reconstruction.

    The true mask is left out where no scene has one, the reconstruction where it was not kept. A slot has its object's
    colour, as :mod:`iodine_kit.reporting.colours` matches them on the last decode. Of many decodes some are shown, the
    first and the last among them. Small images are enlarged by a whole number.
    """
    told = bool(scenes.mask.any())
    lines = [_line(scenes, predictions, row, told) for row in range(len(scenes))]
    height, width = scenes.mask.shape[1:]
    return tiled(lines, max(1, round(_SIDE / max(height, width))))


def _line(scenes: SceneBatch, predictions: PredictionBatch, row: int, told: bool) -> list[Bytes]:
    truth = scenes.mask[row]
    masks = predictions.mask[row][None] if predictions.step_mask is None else predictions.step_mask[row]
    palette = _slot_palette(truth, masks, told)
    parts = [scenes.image[row]]
    parts += [colours.entity_colours(256)[truth]] if told else []
    parts += [palette[masks[step]] for step in _chosen(len(masks))]
    if predictions.reconstruction is not None:
        parts.append(pictures.to_bytes(predictions.reconstruction[row]))
    return parts


def _slot_palette(truth: Bytes, masks: Bytes, told: bool) -> Bytes:
    slots = int(masks.max()) + 1
    if not told:
        return colours.entity_colours(slots + 1)[1:]
    shared = colours.overlap(truth, masks[-1], slots)
    return colours.slot_colours(shared, colours.match_slots(shared))


def _chosen(steps: int) -> Array:
    """At most six of so many decodes, evenly."""
    return np.unique(np.linspace(0, steps - 1, min(steps, _MOST_STEPS)).round().astype(int))


def tiled(lines: Sequence[Sequence[Bytes]], factor: int) -> Bytes:
    """Pictures of one size beside and below each other, with gaps; each enlarged by a whole ``factor``."""
    height, width = (factor * side for side in lines[0][0].shape[:2])
    shape = (len(lines) * (height + _GAP) + _GAP, len(lines[0]) * (width + _GAP) + _GAP, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for i, line in enumerate(lines):
        for j, part in enumerate(line):
            top, left = _GAP + i * (height + _GAP), _GAP + j * (width + _GAP)
            sheet[top : top + height, left : left + width] = part.repeat(factor, 0).repeat(factor, 1)
    return sheet


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
