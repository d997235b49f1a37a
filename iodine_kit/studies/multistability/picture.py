"""A picture of a few scenes with their different segmentations."""

from __future__ import annotations

import numpy as np

from iodine_kit.records import Bytes
from iodine_kit.reporting import colours
from iodine_kit.reporting.image_grid import enlargement, mask_picture, tile
from iodine_kit.studies.multistability.inferences import RepeatedInferences

_SIDE, _MOST_NOISES = 70, 6


def draw(repeated: RepeatedInferences, count: int) -> tuple[Bytes, str]:
    """``uint8[H', W', 3]`` and a caption: one line per scene, from the scene with most modes to that with fewest."""
    ranked = np.argsort(-repeated.mode_counts_S, kind="stable")
    order = ranked[np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))]
    lines = [_line(repeated, int(scene)) for scene in order]
    shown = min(_MOST_NOISES, repeated.noises)
    captions = ["input", "true mask", *(f"inference {place + 1}" for place in range(shown))]
    keys = ", ".join(f"{repeated.truth.keys[scene]} ({repeated.mode_counts_S[scene]})" for scene in order)
    hatch = "" if repeated.ignored is None else ", and pixels to ignore are hatched in the true mask"
    caption = (
        f"From left to right: input, true mask, and {shown} inferences with different noises. The inferences show each "
        "mode once before any mode is repeated, the most frequent mode first. A slot has the colour of the object it "
        f"matches; true background is dark{hatch}. Scenes and, in brackets, their numbers of modes, from the most to "
        f"the fewest: {keys}."
    )
    return tile(lines, enlargement(repeated.truth.mask.shape[1:], _SIDE), captions), caption


def _line(repeated: RepeatedInferences, scene: int) -> list[Bytes]:
    truth = repeated.truth.mask[scene]
    parts = [repeated.truth.image[scene], mask_picture(truth, (0,), repeated.ignored)]
    for noise in _chosen(repeated.modes_RS[:, scene]):
        mask = repeated.masks_RSDHW[noise, scene, -1]
        shared = colours.overlap(truth, mask, repeated.slots, repeated.ignored)
        palette = colours.slot_colours(shared, colours.match_slots(shared))
        inside = ~np.isin(truth, repeated.background)[..., None]
        parts.append(np.where(inside, palette[mask], palette[mask] // 4).astype(np.uint8))
    return parts


def _chosen(modes_R: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """Which inferences to show, at most six: each mode once before any mode is repeated."""
    place = np.array([np.count_nonzero(modes_R[:i] == mode) for i, mode in enumerate(modes_R)])
    return [int(i) for i in np.lexsort((modes_R, place))[:_MOST_NOISES]]
