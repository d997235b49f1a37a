"""A picture of scenes and how a model segments them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from iodine_kit.api.arguments import AnyArray, to_bytes, to_images
from iodine_kit.api.model import Segmentation
from iodine_kit.records import Bytes, PredictionBatch, SceneBatch

if TYPE_CHECKING:
    from PIL import Image


def segmentation_figure(
    scenes: SceneBatch | AnyArray, segmentation: Segmentation, *, rows: int = 8, every_step: bool = False
) -> Image.Image:
    """Draw one row per scene: input, true mask, predicted mask, reconstruction, and what each slot draws in its mask.

    In the predicted mask, a slot has the colour of the object that it matches best. A model may share a plain
    background among its slots. Small images are enlarged by a whole factor.

    Args:
        scenes: what was segmented: a batch of scenes, or images alone, ``uint8[B, H, W, 3]`` or floats in [0, 1]; then
            the figure has no true masks.
        segmentation: of these images, in the same order.
        rows: draw only the first so many scenes.
        every_step: draw the masks after up to six of the decodes, the first and the last among them.

    Returns:
        A Pillow image. A notebook shows it; ``.save("figure.png")`` writes it.

    Raises:
        ValueError: if the images do not fit the segmentation, or ``rows`` is below 1.

    >>> import iodine_kit as ik
    >>> batch = ik.generate("tetrominoes", 2)
    >>> model = ik.load_model("pretrained:tetrominoes", device="cpu")
    >>> figure = segmentation_figure(batch, model.segment(batch.image, restarts=1))
    >>> figure.size
    (880, 238)
    """
    from PIL import Image

    from iodine_kit.reporting.image_grid import enlargement, segmentation_grid, tile

    batch = _scenes(scenes)
    if batch.mask.shape != segmentation.mask.shape:
        shapes = f"{list(batch.mask.shape)}, and those of the segmentation {list(segmentation.mask.shape)}"
        raise ValueError(f"scenes: the masks have shape {shapes}: pass the images that were segmented")
    if rows < 1:
        raise ValueError(f"rows: it must be at least 1 (given: {rows})")
    first = replace(batch, keys=batch.keys[:rows], image=batch.image[:rows], mask=batch.mask[:rows])
    shown = PredictionBatch(
        first.keys,
        segmentation.mask[:rows],
        step_mask=segmentation.step_mask[:rows] if every_step else None,
        reconstruction=segmentation.reconstruction[:rows],
    )
    grid = segmentation_grid(first, shown, getattr(scenes, "ignored", None))
    factor = enlargement(first.mask.shape[1:])
    captions = [f"slot {number}" for number in range(segmentation.soft_mask.shape[1])]
    slots = tile(_slots(segmentation, len(first)), factor, captions)
    missing = len(grid) - len(slots)  # the legend below the grid, if it has one
    slots = np.pad(slots, ((0, missing), (0, 0), (0, 0)), constant_values=255)
    return Image.fromarray(np.concatenate([grid, slots], 1))


def _slots(segmentation: Segmentation, rows: int) -> list[list[Bytes]]:
    """The component of each slot, darkened outside its soft mask, by scene and slot."""
    share = segmentation.soft_mask[:rows, ..., None]
    drawn = np.rint(segmentation.component[:rows] * share).astype(np.uint8)
    return [list(scene) for scene in drawn]


def _scenes(scenes: SceneBatch | AnyArray) -> SceneBatch:
    """The batch; images alone have no masks."""
    if isinstance(scenes, SceneBatch):
        return scenes
    pixels = to_bytes(to_images("scenes", scenes))
    keys = tuple(map(str, range(len(pixels))))
    return SceneBatch(keys, pixels, np.zeros(pixels.shape[:3], np.uint8), has_masks=False)
