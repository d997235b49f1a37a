from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.loader import ShuffledBatches, in_order
from iodine_kit.records import SceneBatch


class Numbers:
    """A reader whose scene i has only pixels of value i."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def keys(self) -> list[str]:
        return [str(i) for i in range(self.count)]

    def batch(self, indices: Sequence[int] | Any) -> SceneBatch:
        values = np.asarray(indices, np.uint8)
        image = np.broadcast_to(values[:, None, None, None], (len(values), 1, 1, 3))
        return SceneBatch(tuple(map(str, indices)), image, image[..., 0])

    def scene(self, index: int) -> Any: ...

    def close(self) -> None: ...


sizes = st.integers(1, 40)


@given(sizes, st.integers(1, 12), st.integers(0, 5), st.integers(1, 3))
def test_every_epoch_contains_every_scene_exactly_once(count: int, batch: int, seed: int, epochs: int) -> None:
    batches = ShuffledBatches(Numbers(count), batch, seed)
    steps = -(-epochs * count // batch)
    stream = np.concatenate([batches.indices(step) for step in range(steps)])
    for epoch in range(epochs):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(sizes, st.integers(1, 12), st.integers(0, 5), st.integers(0, 30))
def test_the_batch_of_a_step_depends_on_seed_and_step_only(count: int, batch: int, seed: int, step: int) -> None:
    sequential, direct = (ShuffledBatches(Numbers(count), batch, seed) for _ in range(2))
    for earlier in range(step):
        sequential.indices(earlier)
    assert (sequential.indices(step) == direct.indices(step)).all()


@given(sizes, st.integers(1, 4), st.integers(1, 4), st.integers(0, 30))
def test_the_parts_of_the_ranks_are_the_batch_and_nothing_else_is_read(
    count: int, own: int, ranks: int, step: int
) -> None:
    read: list[str] = []

    class Watched(Numbers):
        def batch(self, indices: Sequence[int] | Any) -> SceneBatch:
            read.extend(map(str, indices))
            return super().batch(indices)

    whole = ShuffledBatches(Numbers(count), own * ranks, 0).batch(step)
    parts = [ShuffledBatches(Watched(count), own * ranks, 0, (rank * own, own)).batch(step) for rank in range(ranks)]
    assert sum((part.keys for part in parts), ()) == whole.keys == tuple(read)
    assert (np.concatenate([part.image for part in parts]) == whole.image).all()


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = [ShuffledBatches(Numbers(30), 30, seed).indices(epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_prefetched_batches_equal_those_read_directly() -> None:
    batches = ShuffledBatches(Numbers(10), 4, 0)
    assert [b.keys for b in batches.prefetched(3, 9)] == [batches.batch(step).keys for step in range(3, 9)]


def test_in_order_ends_with_a_smaller_batch() -> None:
    assert [len(b) for b in in_order(Numbers(10), 4, 9)] == [4, 4, 1]
    assert [k for b in in_order(Numbers(10), 4, 10) for k in b.keys] == Numbers(10).keys()
