"""A few scenes with what several noises made of them."""

from __future__ import annotations

import numpy as np

from iodine_kit.records import Bytes
from iodine_kit.reporting import colours
from iodine_kit.reporting.image_grid import tiled
from iodine_kit.studies.multistability.inferences import Many

_SIDE, _NOISES = 70, 6


def draw(many: Many, count: int) -> tuple[Bytes, str]:
    """``uint8[H', W', 3]`` and a caption: a line per scene, evenly from the most modes to the fewest."""
    ranked = np.argsort(-many.mode_counts_S, kind="stable")
    order = ranked[np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))]
    lines = [_line(many, int(scene)) for scene in order]
    height, width = many.truth.mask.shape[1:]
    factor = max(1, round(_SIDE / max(height, width)))
    shown = min(_NOISES, many.noises)
    keys = ", ".join(f"{many.truth.keys[scene]} ({many.mode_counts_S[scene]})" for scene in order)
    caption = (
        f"From the left: image, true mask, and {shown} inferences from different noises, of every mode one before a "
        f"second of any, the most frequent mode first. A slot has the colour of the object that it "
        f"matches; true background is dark. Scenes, and "
        f"their numbers of modes, evenly from the most to the fewest: {keys}."
    )
    return tiled(lines, factor), caption


def _line(many: Many, scene: int) -> list[Bytes]:
    truth = many.truth.mask[scene]
    parts = [many.truth.image[scene], colours.entity_colours(256)[truth]]
    for noise in _chosen(many.modes_RS[:, scene]):
        mask = many.masks_RSDHW[noise, scene, -1]
        held = colours.overlap(truth, mask, many.slots)
        palette = colours.slot_colours(held, colours.match_slots(held))
        inside = ~np.isin(truth, many.background)[..., None]
        parts.append(np.where(inside, palette[mask], palette[mask] // 4).astype(np.uint8))
    return parts


def _chosen(modes_R: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """Which inferences to show: round after round one of every mode, at most six."""
    place = np.array([np.count_nonzero(modes_R[:i] == mode) for i, mode in enumerate(modes_R)])
    return [int(i) for i in np.lexsort((modes_R, place))[:_NOISES]]
