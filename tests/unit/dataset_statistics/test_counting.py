from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.dataset_statistics import Fingerprints, find_duplicates
from iodine_kit.dataset_statistics.binned import BinnedCounts
from iodine_kit.dataset_statistics.distribution import MOST_BINS, MOST_UNIT_BINS, IntegerCounts

number = st.floats(-1e6, 1e6) | st.floats(-1, 1) | st.integers(-50, 50).map(float)
numbers = st.lists(number.filter(lambda value: value == 0 or abs(value) > 1e-100), min_size=1, max_size=60)
whole = st.lists(st.integers(0, 5000), min_size=1, max_size=60)


@given(whole, whole)
def test_statistics_of_integers_equal_those_of_numpy(first: list[int], second: list[int]) -> None:
    counts, other = IntegerCounts(), IntegerCounts()
    counts.add(first)
    other.add(second)
    counts.merge(other)
    values, result = np.array(first + second), counts.distribution()
    assert (result.n, result.minimum, result.maximum) == (len(values), values.min(), values.max())
    assert (result.mean, result.std) == pytest.approx((values.mean(), values.std()))
    for at, value in result.quantiles.items():
        assert value == pytest.approx(np.quantile(values, at))
    assert result.histogram is not None
    assert np.histogram(values, result.histogram.edges)[0].tolist() == list(result.histogram.counts)
    assert len(result.histogram.counts) <= max(MOST_BINS, MOST_UNIT_BINS)


@given(numbers, numbers)
def test_bins_do_not_depend_on_the_order_of_the_numbers(first: list[float], second: list[float]) -> None:
    values = np.array(first + second)
    at_once, in_turn, left, right = (BinnedCounts() for _ in range(4))
    at_once.add(values)
    for value in np.random.default_rng(0).permutation(values):
        in_turn.add(np.array([value]))
    left.add(np.array(first))
    right.add(np.array(second))
    left.merge(right)
    result = at_once.distribution()
    assert result.histogram is not None
    for other in (in_turn, left):
        assert other.distribution().histogram == result.histogram
        assert (other.distribution().mean, other.distribution().std) == pytest.approx(
            (values.mean(), values.std()), rel=1e-6, abs=1e-9
        )
    edges = np.append(result.histogram.edges, np.inf)  # NumPy's last bin includes its upper edge, ours does not
    assert np.histogram(values, edges)[0].tolist() == [*result.histogram.counts, 0]
    assert (result.minimum, result.maximum, result.n) == (values.min(), values.max(), len(values))


@pytest.mark.parametrize("value", [0.0, 0.35, -1e13, 1e149, 1e-310])
def test_a_constant_has_one_bin(value: float) -> None:
    binned = BinnedCounts()
    binned.add(np.full(5, value))
    histogram = binned.distribution().histogram
    assert histogram is not None and histogram.counts == (5,)
    assert histogram.edges[0] <= value < histogram.edges[1]


def test_numbers_that_are_not_finite_are_counted_separately() -> None:
    binned = BinnedCounts()
    binned.add(np.array([np.nan, 1.0, np.inf, 2.0]))
    assert (binned.distribution().n, binned.distribution().undefined) == (2, 2)
    nothing = BinnedCounts()
    nothing.add(np.array([np.nan]))
    assert nothing.distribution().histogram is None and np.isnan(nothing.distribution().mean)


def test_no_numbers_have_no_distribution() -> None:
    assert IntegerCounts().distribution().n == BinnedCounts().distribution().n == 0


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=4))
def test_duplicates_equal_those_that_python_sets_give(splits: list[list[int]]) -> None:
    prints = {str(i): Fingerprints() for i in range(len(splits))}
    for one, values in zip(prints.values(), splits, strict=True):
        for value in values:
            one.add(np.full((2, 2, 3), value, np.uint8))
    result, sets = find_duplicates(prints), [set(values) for values in splits]
    assert result.distinct == len(set().union(*sets))
    assert list(result.repeats.values()) == [len(values) - len(set(values)) for values in splits]
    for i, values in enumerate(splits):
        shared = {str(j): sum(value in sets[j] for value in values) for j in range(len(splits)) if j != i}
        assert result.shared[str(i)] == shared
    assert result.leaking == sum(sum(value in one for one in sets) > 1 for value in range(6))
    flat = [value for values in splits for value in values]
    assert len(result.examples) == min(10, len(flat) - len(set(flat)))
    for (split, row), (other, again) in result.examples:
        assert splits[int(split)][row] == splits[int(other)][again] and (split, row) != (other, again)
