from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.reporting.colours import (
    BACKGROUND,
    HATCH,
    PALETTE,
    entity_colours,
    hatched,
    match_slots,
    overlap,
    slot_colours,
)

TRUE = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [2, 2, 0, 0]], np.uint8)


def test_overlap_counts_shared_pixels() -> None:
    predicted = np.array([[3, 3, 3, 3], [3, 0, 3, 3], [1, 1, 3, 3]], np.uint8)
    assert overlap(TRUE, predicted, 4).tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0], [8, 1, 0]]


def test_a_slot_has_the_colour_of_its_object() -> None:
    predicted = np.array([[3, 3, 3, 3], [3, 0, 0, 3], [1, 1, 3, 3]], np.uint8)
    shared = overlap(TRUE, predicted, 4)
    match = match_slots(shared)
    assert match.tolist() == [1, 2, -1, 0]
    colours = slot_colours(shared, match)
    true = entity_colours(3)
    assert colours[[0, 1, 3]].tolist() == true[[1, 2, 0]].tolist()
    assert true[0].tolist() == BACKGROUND.tolist()


def test_the_parts_of_a_divided_background_are_dark_and_different() -> None:
    predicted = np.array([[3, 3, 4, 4], [3, 0, 0, 4], [1, 1, 2, 2]], np.uint8)
    shared = overlap(TRUE, predicted, 5)
    match = match_slots(shared)
    colours = slot_colours(shared, match)
    assert sorted(match.tolist()) == [-1, -1, 0, 1, 2]
    background = colours[[2, 3, 4]]
    assert background.max() < 100
    assert len(np.unique(background, axis=0)) == 3


def test_the_second_part_of_an_object_has_its_own_colour() -> None:
    true = np.array([[0, 0, 1, 1, 1]], np.uint8)
    shared = overlap(true, np.array([[0, 0, 1, 1, 2]], np.uint8), 3)
    match = match_slots(shared)
    assert match.tolist() == [0, 1, -1]
    assert slot_colours(shared, match)[2].tolist() == PALETTE[1].tolist()


def test_a_slot_with_an_object_and_more_background_matches_the_object() -> None:
    # Slot 0 has entity 1 except for one pixel; slot 1 has background and that pixel.
    true = np.array([[0] * 10, [0] * 6 + [1] * 4], np.uint8)
    predicted = np.array([[0] * 9 + [1], [1] * 5 + [0] * 4 + [1]], np.uint8)
    shared = overlap(true, predicted, 2)
    assert shared.tolist() == [[10, 3], [6, 1]]
    assert match_slots(shared).tolist() == [1, 0]


def test_a_single_shared_pixel_is_not_a_match() -> None:
    # Slot 0 has both objects; slot 1 has background and one pixel of the second object.
    assert match_slots(np.array([[4, 9, 8], [20, 0, 1]])).tolist() == [1, 0]


@given(st.integers(1, 9), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_matching_is_one_to_one_and_shares_pixels(slots: int, entities: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, entities, (6, 7)).astype(np.uint8)
    shared = overlap(true, rng.integers(0, slots, (6, 7)).astype(np.uint8), slots)
    assert shared.sum() == true.size
    match = match_slots(shared)
    pairs = [(slot, entity) for slot, entity in enumerate(match) if entity >= 0]
    assert len({entity for _, entity in pairs}) == len(pairs)
    assert all(shared[pair] > 0 for pair in pairs)
    assert slot_colours(shared, match).shape == (slots, 3)


def test_pixels_to_ignore_are_striped_in_greys_of_their_own() -> None:
    true = np.where(np.arange(64).reshape(8, 8) % 8 > 3, 255, TRUE.max()).astype(np.uint8)
    shown, palette = hatched(true, entity_colours(256), 255)
    picture = palette[shown]
    greys = {tuple(grey) for grey in HATCH.tolist()}
    assert {tuple(colour) for colour in picture[:, 4:].reshape(-1, 3).tolist()} == greys
    assert (picture[:, :4] == entity_colours(3)[2]).all() and len(palette) == 3 + len(HATCH)
    assert not greys & {tuple(colour) for colour in entity_colours(256).tolist()}


def test_a_mask_without_pixels_to_ignore_has_the_colours_of_its_entities() -> None:
    for ignored in (None, 255):
        shown, palette = hatched(TRUE, entity_colours(256), ignored)
        assert shown is TRUE and palette.tolist() == entity_colours(3).tolist()


def test_where_every_index_is_taken_pixels_to_ignore_are_grey() -> None:
    for true, ignored in ((np.arange(256, dtype=np.uint8)[None], 255), (np.array([[7, 0, 255]], np.uint8), 7)):
        shown, palette = hatched(true, entity_colours(256), ignored)
        assert (palette[shown][true == ignored] == HATCH[0]).all()
        assert (palette[shown][true != ignored] == entity_colours(256)[true[true != ignored]]).all()


def test_pixels_to_ignore_match_no_slot() -> None:
    true = np.array([[0, 0, 1, 1, 255, 255, 255, 255]], np.uint8)
    predicted = np.array([[0, 0, 2, 2, 1, 1, 1, 2]], np.uint8)
    assert overlap(true, predicted, 3, 255).tolist() == [[2, 0], [0, 0], [0, 2]]
    assert match_slots(overlap(true, predicted, 3, 255)).tolist() == [0, -1, 1]
