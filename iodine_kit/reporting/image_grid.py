"""Images and masks of several scenes as one picture, one line per scene."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image, ImageDraw

from iodine_kit.records import Array, Bytes, PredictionBatch, Scene, SceneBatch
from iodine_kit.reporting import colours, pictures

_GAP, _MIN_SIDE, _COLUMNS, _MOST_STEPS = 4, 96, 6, 6
_PAPER, _INK = 255, (29, 26, 36)
_CAPTION_HEIGHT, _CAPTION_SIZE, _SWATCH = 16, 11, 10


def segmentation_grid(scenes: SceneBatch, predictions: PredictionBatch, ignored: int | None = None) -> Bytes:
    """From left to right: input, true mask, predicted mask after each decode, reconstruction; with column captions.

    The true mask is omitted if no scene has one, and the reconstruction if it was not stored. At most six decodes are
    shown, the first and the last among them. A slot has the colour of its object, matched on the last decode as in
    :mod:`iodine_kit.reporting.colours`. Small images are enlarged by a whole factor. Pixels to ignore are hatched in
    the true mask, and a legend below explains it.

    Args:
        scenes: B scenes of one size.
        predictions: of the same scenes.
        ignored: mask index of the pixels to ignore; ``None`` if there are none.

    Returns:
        ``uint8[H', W', 3]``.
    """
    has_truth = scenes.has_masks and bool(scenes.mask.any())
    decodes = 1 if predictions.step_mask is None else predictions.step_mask.shape[1]
    steps = _chosen(decodes)
    lines = [_line(scenes, predictions, row, steps, has_truth, ignored) for row in range(len(scenes))]
    masks = ["prediction"] if decodes == 1 else [f"step {step}" for step in steps]
    captions = ["input", *["true mask"] * has_truth, *masks]
    captions += ["reconstruction"] * (predictions.reconstruction is not None)
    sheet = tile(lines, enlargement(scenes.mask.shape[1:]), captions)
    return with_legend(sheet) if ignored is not None and (scenes.mask == ignored).any() else sheet


def enlargement(shape: Sequence[int], side: int = _MIN_SIDE) -> int:
    """The whole factor that brings the longer side of an image ``[H, W]`` closest to ``side`` pixels; at least 1."""
    return max(1, round(side / max(shape)))


def tile(lines: Sequence[Sequence[Bytes]], factor: int, captions: Sequence[str] = ()) -> Bytes:
    """Pictures in rows and columns with gaps, as one picture ``uint8[H', W', 3]``.

    Args:
        lines: rows of pictures ``uint8[H, W, 3]``, all of one size.
        factor: by which each picture is enlarged.
        captions: one for each column, above it; none by default.
    """
    height, width = (factor * side for side in lines[0][0].shape[:2])
    head = _CAPTION_HEIGHT if captions else 0
    shape = (head + len(lines) * (height + _GAP) + _GAP, len(lines[0]) * (width + _GAP) + _GAP, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for i, line in enumerate(lines):
        for j, part in enumerate(line):
            top, left = head + _GAP + i * (height + _GAP), _GAP + j * (width + _GAP)
            sheet[top : top + height, left : left + width] = part.repeat(factor, 0).repeat(factor, 1)
    centres = [_GAP + width // 2 + j * (width + _GAP) for j in range(len(lines[0]))]
    return _captioned(sheet, captions, centres) if captions else sheet


def with_legend(sheet: Bytes) -> Bytes:
    """The picture with a line below it that explains the hatch of pixels to ignore."""
    height = len(sheet)
    picture = Image.fromarray(np.pad(sheet, ((0, _CAPTION_HEIGHT), (0, 0), (0, 0)), constant_values=_PAPER))
    swatch, palette = colours.hatched(np.full((_SWATCH, 2 * _SWATCH), 1, np.uint8), colours.entity_colours(256), 1)
    picture.paste(Image.fromarray(palette[swatch]), (_GAP, height + 1))
    words = (2 * _SWATCH + 2 * _GAP, height - 1)
    ImageDraw.Draw(picture).text(words, "ignored", fill=_INK, font_size=_CAPTION_SIZE)
    return np.asarray(picture)


def _captioned(sheet: Bytes, captions: Sequence[str], centres: Sequence[int]) -> Bytes:
    """The picture with a caption at the top of each column, in the font that is part of Pillow."""
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    for caption, centre in zip(captions, centres, strict=True):
        draw.text((centre, 3), caption, fill=_INK, anchor="ma", font_size=_CAPTION_SIZE)
    return np.asarray(picture)


def _line(
    scenes: SceneBatch,
    predictions: PredictionBatch,
    row: int,
    steps: Sequence[int],
    has_truth: bool,
    ignored: int | None,
) -> list[Bytes]:
    truth = scenes.mask[row]
    masks = predictions.mask[row][None] if predictions.step_mask is None else predictions.step_mask[row]
    slots = int(masks.max()) + 1
    _, palette = colours.coloured_slots(truth if has_truth else None, masks[-1], slots, ignored)
    parts = [scenes.image[row]]
    parts += [mask_picture(truth, (0,), ignored)] if has_truth else []
    parts += [palette[masks[step]] for step in steps]
    if predictions.reconstruction is not None:
        parts.append(pictures.to_bytes(predictions.reconstruction[row]))
    return parts


def _chosen(decodes: int) -> list[int]:
    """Indices of at most six decodes, evenly spaced."""
    spaced: Array = np.linspace(0, decodes - 1, min(decodes, _MOST_STEPS)).round().astype(int)
    return [int(step) for step in np.unique(spaced)]


def contact_sheet(scenes: Sequence[Scene], background: Collection[int], ignored: int | None = None) -> bytes:
    """A PNG of scenes: each image with its mask to its right, if there are masks, every entity in its colour.

    Args:
        scenes: all of one size; small ones are enlarged by a whole factor.
        background: mask indices that are shown near-black.
        ignored: mask index of the pixels to ignore, which are hatched, with a legend; ``None`` if there are none.
    """
    factor = enlargement(scenes[0].mask.shape)
    height, width = (factor * side for side in scenes[0].mask.shape)
    columns = min(_COLUMNS, len(scenes))
    rows = -(-len(scenes) // columns)
    pictures_wide = (1 + any(scene.has_mask for scene in scenes)) * width
    cell = (height + _GAP, pictures_wide + 2 * _GAP)
    sheet = np.full((rows * cell[0] + _GAP, columns * cell[1] + _GAP, 3), _PAPER, np.uint8)
    for number, scene in enumerate(scenes):
        row, column = divmod(number, columns)
        pair = [scene.image, mask_picture(scene.mask, background, ignored)][: 1 + scene.has_mask]
        top, left = _GAP + row * cell[0], _GAP + column * cell[1]
        pixels = np.concatenate(pair, axis=1).repeat(factor, 0).repeat(factor, 1)
        sheet[top : top + height, left : left + pixels.shape[1]] = pixels
    if ignored is not None and any((scene.mask == ignored).any() for scene in scenes):
        sheet = with_legend(sheet)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def mask_picture(mask: Bytes, background: Collection[int], ignored: int | None = None) -> Bytes:
    """An index mask ``uint8[H, W]`` in colours, ``uint8[H, W, 3]``; every background index has its own near-black.

    Pixels whose index is ``ignored`` are hatched.
    """
    palette = colours.entity_colours(256)
    for shade, index in enumerate(sorted(background)):
        palette[index] = colours.BACKGROUND + 24 * shade
    shown, used = colours.hatched(mask, palette, ignored)
    return used[shown]
