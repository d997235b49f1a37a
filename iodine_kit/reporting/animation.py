"""Refinement as a moving picture: scenes whose masks change step by step."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import chain

import numpy as np
from PIL import Image, ImageDraw

from iodine_kit.records import Bytes
from iodine_kit.reporting import colours
from iodine_kit.reporting.context import SceneView
from iodine_kit.reporting.image_grid import tiled

_SIDE, _LINE, _FRAME_MS, _LAST_MS, _COLUMNS = 96, 22, 500, 1800, 4
_INK, _PAPER = (29, 26, 36), 255


def refinement_frames(scenes: Sequence[SceneView]) -> list[Bytes]:
    """A picture ``uint8[H', W', 3]`` for every decode: input, true mask and predicted mask of each scene, two per row.

    A slot keeps the colour of what it matches at the last step. Small images are enlarged by a whole number.
    """
    if not scenes:
        return []
    steps = max(len(scene.step_mask) for scene in scenes)
    drawn = [_of_scene(scene, steps) for scene in scenes]
    factor = max(1, round(_SIDE / max(scenes[0].true_mask.shape)))
    per_row = 2 if len(scenes) > _COLUMNS else 1
    frames = []
    for step in range(steps):
        cells = [[scene.image, true, masks[step]] for scene, (true, masks) in zip(scenes, drawn, strict=True)]
        lines = [list(chain(*cells[i : i + per_row])) for i in range(0, len(cells) - len(cells) % per_row, per_row)]
        frames.append(_told(tiled(lines, factor), f"refinement step {step} of {steps - 1}"))
    return frames


def gif(frames: Sequence[Bytes]) -> bytes:
    """The frames as a GIF that begins again and again and rests on the last one; same frames, same bytes."""
    pictures = [Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE) for frame in frames]
    stream = io.BytesIO()
    durations = [_FRAME_MS] * (len(frames) - 1) + [_LAST_MS]
    pictures[0].save(
        stream, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True
    )
    return stream.getvalue()


def _of_scene(scene: SceneView, steps: int) -> tuple[Bytes, list[Bytes]]:
    shared = colours.overlap(scene.true_mask, scene.step_mask[-1], int(scene.step_mask.max()) + 1)
    palette = colours.slot_colours(shared, colours.match_slots(shared))
    masks = [palette[mask] for mask in scene.step_mask]
    return colours.entity_colours(256)[scene.true_mask], masks + masks[-1:] * (steps - len(masks))


def _told(picture: Bytes, words: str) -> Bytes:
    """The picture with a line of text below."""
    height, width = picture.shape[:2]
    sheet = Image.new("RGB", (width, height + _LINE), (_PAPER,) * 3)
    sheet.paste(Image.fromarray(picture), (0, 0))
    ImageDraw.Draw(sheet).text((4, height + 3), words, fill=_INK, font_size=13)
    return np.asarray(sheet)
