"""Colours of entities and slots: a slot has the colour of the object that it matches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Bytes

BACKGROUND = np.array([16, 15, 20], np.uint8)
HATCH: Bytes = np.array([[208] * 3, [136] * 3], np.uint8)
"""The two greys of stripes across pixels to ignore; no entity and no slot has them."""
_STRIPE = 2

# The seven colours of Okabe and Ito, distinct with any colour vision, then Tol's muted set; beyond these, repeated.
_PALETTE = (
    "56b4e9 e69f00 009e73 f0e442 cc79a7 d55e00 0072b2 "  # Okabe-Ito, with the two blues and the two oranges far apart
    "882255 44aa99 ddcc77 332288 999933 aa4499 88ccee"
)
PALETTE: Bytes = np.array([list(bytes.fromhex(code)) for code in _PALETTE.split()], np.uint8)


def entity_colours(entities: int) -> Bytes:
    """Colour of each entity, ``uint8[N, 3]``; entity 0, the background, is near-black."""
    objects = PALETTE[np.arange(max(entities - 1, 0)) % len(PALETTE)]
    return np.concatenate([BACKGROUND[None], objects])[:entities]


def hatched(true_mask: Bytes, entities: Bytes, ignored: int | None) -> tuple[Bytes, Bytes]:
    """A true mask ``uint8[H, W]`` and its palette: grey stripes across pixels to ignore.

    Args:
        entities: colours of the entities, ``uint8[256, 3]``, of which the mask needs the first ones.
        ignored: mask index of the pixels to ignore; ``None`` if there are none.

    Returns:
        Indices ``uint8[H, W]``, and their colours ``uint8[n, 3]``, no more than are needed.
    """
    outside = np.zeros(true_mask.shape, np.bool_) if ignored is None else true_mask == ignored
    used = int(true_mask.max(initial=0, where=~outside)) + 1
    if not outside.any():
        return true_mask, entities[:used]
    if used + len(HATCH) > len(entities):  # no index is free but that of the pixels to ignore
        entities = entities.copy()
        entities[ignored] = HATCH[0]
        return true_mask, entities
    row, column = np.indices(true_mask.shape)
    stripe = used + (row + column) // _STRIPE % len(HATCH)
    return np.where(outside, stripe, true_mask).astype(np.uint8), np.concatenate([entities[:used], HATCH])


def overlap(true_mask: Bytes, predicted_mask: Bytes, slots: int, ignored: int | None = None) -> NDArray[np.int64]:
    """Number of pixels that each slot and entity share, ``int64[K, N]``; both masks are ``uint8[H, W]``.

    Args:
        ignored: index of ``true_mask`` whose pixels are not counted; ``None`` for none.
    """
    if ignored is not None:
        kept = true_mask != ignored
        true_mask, predicted_mask = true_mask[kept], predicted_mask[kept]
    entities = int(true_mask.max(initial=0)) + 1
    cell = predicted_mask.astype(np.int64).ravel() * entities + true_mask.ravel()
    return np.bincount(cell, minlength=slots * entities).reshape(slots, entities)


def match_slots(shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """Entity of each slot, ``int64[K]``, −1 for none, from the shared pixels ``int64[K, N]``.

    Each object gets at most one slot, such that the number of shared pixels is largest: a slot may contain an object
    and the background around it. A slot matches an object only if it contains at least a third of it. Of the other
    slots, the one with the most background matches the background.
    """
    from scipy.optimize import linear_sum_assignment  # here, because it takes longer to load than most commands

    match = np.full(len(shared), -1, np.int64)
    objects = shared[:, 1:]
    for slot, index in zip(*linear_sum_assignment(objects, maximize=True), strict=True):
        if objects[slot, index] and 3 * objects[slot, index] >= objects[:, index].sum():
            match[slot] = index + 1
    background = np.where(match < 0, shared[:, 0], 0)
    if background.any():
        match[background.argmax()] = 0
    return match


def coloured_slots(
    true_mask: Bytes | None, mask: Bytes, slots: int, ignored: int | None = None
) -> tuple[NDArray[np.int64], Bytes]:
    """Entity of each slot, ``int64[K]``, and colour, ``uint8[K, 3]``; no entity and any colour without a true mask.

    Args:
        true_mask, mask: ``uint8[H, W]``, entity and slot of every pixel.
        slots: K.
        ignored: index of ``true_mask`` in the pixels to ignore; ``None`` if there are none.
    """
    if true_mask is None:
        return np.full(slots, -1, np.int64), entity_colours(slots + 1)[1:]
    shared = overlap(true_mask, mask, slots, ignored)
    match = match_slots(shared)
    return match, slot_colours(shared, match)


def slot_colours(shared: NDArray[np.int64], match: NDArray[np.int64]) -> Bytes:
    """Colour of each slot, ``uint8[K, 3]``: the colour of its entity, if it matches one.

    The other slots that contain mostly background are different dark greys, because IODINE may divide the background.
    All others, which contain parts of an object that matches another slot, have colours that no entity of the scene
    has.
    """
    slots, entities = shared.shape
    colours = np.zeros((slots, 3), np.uint8)
    named, spare, grey = entity_colours(entities), entities - 1, 0
    for slot, entity in enumerate(match):
        if entity >= 0:
            colours[slot] = named[entity]
        elif shared[slot].argmax() == 0:
            colours[slot] = BACKGROUND + 24 * (1 + grey % 4)
            grey += 1
        else:
            colours[slot] = PALETTE[spare % len(PALETTE)]
            spare += 1
    return colours
