"""Which colour an entity or a slot has, so that a slot looks like the object that it found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from iodine_kit.records import Bytes

BACKGROUND = np.array([16, 15, 20], np.uint8)

# Okabe and Ito's seven, told apart with any colour vision, then Tol's muted set for crowded scenes; beyond, again.
_PALETTE = (
    "56b4e9 e69f00 009e73 f0e442 cc79a7 d55e00 0072b2 "  # Okabe-Ito, the two blues and the two oranges kept apart
    "882255 44aa99 ddcc77 332288 999933 aa4499 88ccee"
)
PALETTE: Bytes = np.array([list(bytes.fromhex(code)) for code in _PALETTE.split()], np.uint8)


def entity_colours(entities: int) -> Bytes:
    """Colour of each true entity, ``uint8[N, 3]``; entity 0, the background, is near-black."""
    objects = PALETTE[np.arange(max(entities - 1, 0)) % len(PALETTE)]
    return np.concatenate([BACKGROUND[None], objects])[:entities]


def overlap(true_mask: Bytes, predicted_mask: Bytes, slots: int) -> NDArray[np.int64]:
    """Pixels that a slot and an entity share, ``int64[K, N]``; masks ``uint8[H, W]``, all predicted values below K."""
    entities = int(true_mask.max()) + 1
    cell = predicted_mask.astype(np.int64).ravel() * entities + true_mask.ravel()
    return np.bincount(cell, minlength=slots * entities).reshape(slots, entities)


def match_slots(shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """Entity of each slot, ``int64[K]``, −1 for none, from the shared pixels ``int64[K, N]``.

    Objects come first, one slot each, so that together they share the most pixels: a slot may well hold an object and
    the background around it. A slot has found an object only if it holds a third of it. Of the slots that are left, the
    one with the most background is the background's.
    """
    match = np.full(len(shared), -1, np.int64)
    objects = shared[:, 1:]
    for slot, index in zip(*linear_sum_assignment(objects, maximize=True), strict=True):
        if objects[slot, index] and 3 * objects[slot, index] >= objects[:, index].sum():
            match[slot] = index + 1
    background = np.where(match < 0, shared[:, 0], 0)
    if background.any():
        match[background.argmax()] = 0
    return match


def slot_colours(shared: NDArray[np.int64], match: NDArray[np.int64]) -> Bytes:
    """Colour of each slot, ``uint8[K, 3]``: its entity's if it has one.

    Other slots that hold background most of all are dark greys, each another, for IODINE may divide the background;
    the rest, pieces of an object that another slot got, have colours that no entity of the scene has.
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
