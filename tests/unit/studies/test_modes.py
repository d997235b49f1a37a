"""Modes against scikit-learn and graph components, and what must hold whatever the masks are."""

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
def test_the_likeness_of_two_decompositions_is_scikit_learns_adjusted_rand_index(labels: np.ndarray) -> None:
    found = pairwise_ari(labels)
    for i, first in enumerate(labels):
        for j, second in enumerate(labels):
            assert found[i, j] == pytest.approx(adjusted_rand_score(first, second), abs=1e-12)


@given(LABELS, THRESHOLD)
@settings(max_examples=60)
def test_another_order_of_slots_changes_no_mode(labels: np.ndarray, threshold: float) -> None:
    renamed = np.stack([np.random.default_rng(row).permutation(5)[labels[row]] for row in range(len(labels))])
    before = modes_of(pairwise_ari(labels), threshold, "complete")
    assert (modes_of(pairwise_ari(renamed.astype(np.uint8)), threshold, "complete") == before).all()


@given(LABELS, THRESHOLD)
@settings(max_examples=80)
def test_with_complete_linkage_any_two_of_a_mode_are_alike(labels: np.ndarray, threshold: float) -> None:
    alike = pairwise_ari(labels)
    modes = modes_of(alike, threshold, "complete")
    same = modes[:, None] == modes[None]
    assert (alike[same] >= threshold - 1e-6).all()
    counts = np.bincount(modes)
    assert (np.diff(counts) <= 0).all() and counts.min() >= 1, "the most frequent mode comes first"


@given(LABELS, THRESHOLD)
@settings(max_examples=80)
def test_with_single_linkage_modes_are_connected_components(labels: np.ndarray, threshold: float) -> None:
    alike = pairwise_ari(labels)
    if np.isclose(alike, threshold, atol=1e-6).any():
        return  # a matter of rounding
    count, components = connected_components(alike >= threshold, directed=False)
    modes = modes_of(alike, threshold, "single")
    assert modes.max() + 1 == count
    assert ((modes[:, None] == modes[None]) == (components[:, None] == components[None])).all()


def test_planted_decompositions_are_found() -> None:
    whole = np.repeat([0, 1, 2], 16)
    merged, split = np.minimum(whole, 1), whole + 2 * (np.arange(48) % 16 > 7)
    labels = np.stack([whole, merged, (whole + 1) % 3, split, whole, (merged + 1) % 2, whole[::-1]]).astype(np.uint8)
    assert modes_of(pairwise_ari(labels), 0.9, "complete").tolist() == [0, 1, 0, 2, 0, 1, 0]
    assert modes_of(np.ones((1, 1)), 0.9, "complete").tolist() == [0]


def test_an_objects_slot_takes_most_of_it_and_two_may_share_one() -> None:
    truth = np.array([[1, 1, 1, 2, 2, 0]], np.uint8)
    masks = np.array([[[0, 0, 1, 1, 1, 2]], [[2, 2, 2, 2, 2, 0]]], np.uint8)
    found = owners(truth, masks, entities=4, slots=3)
    assert found.tolist() == [[0, 1, -1], [2, 2, -1]]
    assert shared(found).tolist() == [False, True]
    assert shared(np.array([[-1, -1, 0]])).tolist() == [False], "objects that are not there share nothing"


def test_how_often_objects_share_a_slot_by_chance_is_counted_out() -> None:
    for objects, slots in product(range(1, 5), range(1, 5)):
        every = list(product(range(slots), repeat=objects))
        counted = sum(len(set(one)) < objects for one in every) / len(every)
        assert shared_by_chance(objects, slots) == pytest.approx(counted)
