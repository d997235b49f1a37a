"""Modes against scikit-learn and graph components, and properties that hold for any masks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import adjusted_rand_score

from iodine_kit.studies.multistability.modes import modes_of, owners, pairwise_ari, shared, shared_by_chance

LABELS = arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 24)), elements=st.integers(0, 4))
THRESHOLD = st.floats(0.05, 0.95)


@given(LABELS)
@settings(max_examples=80)
def test_pairwise_ari_equals_scikit_learns_adjusted_rand_index(labels: np.ndarray) -> None:
    ari = pairwise_ari(labels)
    for i, first in enumerate(labels):
        for j, second in enumerate(labels):
            assert ari[i, j] == pytest.approx(adjusted_rand_score(first, second), abs=1e-12)


@given(LABELS, THRESHOLD)
@settings(max_examples=60)
def test_the_order_of_slots_does_not_change_the_modes(labels: np.ndarray, threshold: float) -> None:
    renamed = np.stack([np.random.default_rng(row).permutation(5)[labels[row]] for row in range(len(labels))])
    before = modes_of(pairwise_ari(labels), threshold, "complete")
    assert (modes_of(pairwise_ari(renamed.astype(np.uint8)), threshold, "complete") == before).all()


@given(LABELS, THRESHOLD)
@settings(max_examples=80)
def test_with_complete_linkage_any_two_segmentations_of_a_mode_are_similar(
    labels: np.ndarray, threshold: float
) -> None:
    ari = pairwise_ari(labels)
    modes = modes_of(ari, threshold, "complete")
    same = modes[:, None] == modes[None]
    assert (ari[same] >= threshold - 1e-6).all()
    counts = np.bincount(modes)
    assert (np.diff(counts) <= 0).all() and counts.min() >= 1, "the most frequent mode comes first"


@given(LABELS, THRESHOLD)
@settings(max_examples=80)
def test_with_single_linkage_modes_are_connected_components(labels: np.ndarray, threshold: float) -> None:
    ari = pairwise_ari(labels)
    if np.isclose(ari, threshold, atol=1e-6).any():
        return  # rounding decides
    count, components = connected_components(ari >= threshold, directed=False)
    modes = modes_of(ari, threshold, "single")
    assert modes.max() + 1 == count
    assert ((modes[:, None] == modes[None]) == (components[:, None] == components[None])).all()


def test_known_modes_are_recovered() -> None:
    whole = np.repeat([0, 1, 2], 16)
    merged, split = np.minimum(whole, 1), whole + 2 * (np.arange(48) % 16 > 7)
    labels = np.stack([whole, merged, (whole + 1) % 3, split, whole, (merged + 1) % 2, whole[::-1]]).astype(np.uint8)
    assert modes_of(pairwise_ari(labels), 0.9, "complete").tolist() == [0, 1, 0, 2, 0, 1, 0]
    assert modes_of(np.ones((1, 1)), 0.9, "complete").tolist() == [0]


def test_the_owner_of_an_object_has_most_of_its_pixels_and_two_objects_can_share_it() -> None:
    truth = np.array([[1, 1, 1, 2, 2, 0]], np.uint8)
    masks = np.array([[[0, 0, 1, 1, 1, 2]], [[2, 2, 2, 2, 2, 0]]], np.uint8)
    slots = owners(truth, masks, entities=4, slots=3)
    assert slots.tolist() == [[0, 1, -1], [2, 2, -1]]
    assert shared(slots).tolist() == [False, True]
    assert shared(np.array([[-1, -1, 0]])).tolist() == [False], "objects that do not exist share nothing"


def test_the_chance_of_sharing_a_slot_equals_the_count_over_all_assignments() -> None:
    for objects, slots in product(range(1, 5), range(1, 5)):
        every = list(product(range(slots), repeat=objects))
        counted = sum(len(set(one)) < objects for one in every) / len(every)
        assert shared_by_chance(objects, slots) == pytest.approx(counted)
