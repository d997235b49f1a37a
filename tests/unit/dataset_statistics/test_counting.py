from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.dataset_statistics import Fingerprints, find_duplicates
from iodine_kit.dataset_statistics.binned import Binned
from iodine_kit.dataset_statistics.tally import MOST_BINS, MOST_SINGLE, Tally

number = st.floats(-1e6, 1e6) | st.floats(-1, 1) | st.integers(-50, 50).map(float)
numbers = st.lists(number.filter(lambda value: value == 0 or abs(value) > 1e-100), min_size=1, max_size=60)
whole = st.lists(st.integers(0, 5000), min_size=1, max_size=60)


@given(whole, whole)
def test_a_tally_knows_what_numpy_knows(first: list[int], second: list[int]) -> None:
    tally, other = Tally(), Tally()
    tally.add(first)
    other.add(second)
    tally.merge(other)
    values, found = np.array(first + second), tally.distribution()
    assert (found.n, found.minimum, found.maximum) == (len(values), values.min(), values.max())
    assert (found.mean, found.std) == pytest.approx((values.mean(), values.std()))
    for at, value in found.quantiles.items():
        assert value == pytest.approx(np.quantile(values, at))
    assert found.histogram is not None
    assert np.histogram(values, found.histogram.edges)[0].tolist() == list(found.histogram.counts)
    assert len(found.histogram.counts) <= max(MOST_BINS, MOST_SINGLE)


@given(numbers, numbers)
def test_bins_are_the_same_in_whatever_order_numbers_come(first: list[float], second: list[float]) -> None:
    values = np.array(first + second)
    at_once, in_turn, left, right = Binned(), Binned(), Binned(), Binned()
    at_once.add(values)
    for value in np.random.default_rng(0).permutation(values):
        in_turn.add(np.array([value]))
    left.add(np.array(first))
    right.add(np.array(second))
    left.merge(right)
    found = at_once.distribution()
    assert found.histogram is not None
    for other in (in_turn, left):
        assert other.distribution().histogram == found.histogram
        assert (other.distribution().mean, other.distribution().std) == pytest.approx(
            (values.mean(), values.std()), rel=1e-6, abs=1e-9
        )
    edges = np.append(found.histogram.edges, np.inf)  # numpy's last interval holds its upper edge, ours does not
    assert np.histogram(values, edges)[0].tolist() == [*found.histogram.counts, 0]
    assert (found.minimum, found.maximum, found.n) == (values.min(), values.max(), len(values))


@pytest.mark.parametrize("value", [0.0, 0.35, -1e13, 1e149, 1e-310])
def test_a_constant_has_one_interval(value: float) -> None:
    binned = Binned()
    binned.add(np.full(5, value))
    histogram = binned.distribution().histogram
    assert histogram is not None and histogram.counts == (5,)
    assert histogram.edges[0] <= value < histogram.edges[1]


def test_what_is_not_finite_is_counted_apart() -> None:
    binned = Binned()
    binned.add(np.array([np.nan, 1.0, np.inf, 2.0]))
    assert (binned.distribution().n, binned.distribution().undefined) == (2, 2)
    nothing = Binned()
    nothing.add(np.array([np.nan]))
    assert nothing.distribution().histogram is None and np.isnan(nothing.distribution().mean)


def test_no_numbers_have_no_distribution() -> None:
    assert Tally().distribution().n == Binned().distribution().n == 0


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=4))
def test_duplicates_are_those_of_sets(splits: list[list[int]]) -> None:
    prints = {str(i): Fingerprints() for i in range(len(splits))}
    for one, values in zip(prints.values(), splits, strict=True):
        for value in values:
            one.add(np.full((2, 2, 3), value, np.uint8))
    found, sets = find_duplicates(prints), [set(values) for values in splits]
    assert found.distinct == len(set().union(*sets))
    assert list(found.repeats.values()) == [len(values) - len(set(values)) for values in splits]
    for i, values in enumerate(splits):
        shared = {str(j): sum(value in sets[j] for value in values) for j in range(len(splits)) if j != i}
        assert found.shared[str(i)] == shared
    assert found.leaking == sum(sum(value in one for one in sets) > 1 for value in range(6))
    flat = [value for values in splits for value in values]
    assert len(found.examples) == min(10, len(flat) - len(set(flat)))
    for (split, row), (other, again) in found.examples:
        assert splits[int(split)][row] == splits[int(other)][again] and (split, row) != (other, again)
