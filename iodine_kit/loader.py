"""Batches of scenes from any format, in exact epochs whose order depends on seed and epoch only."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from iodine_kit.formats import Reader
from iodine_kit.records import SceneBatch


class ShuffledBatches:
    """An endless stream of epochs, cut into batches of equal size. An epoch is every scene once, in random order.

    A batch can contain the end of one epoch and the start of the next, so no scene is dropped or repeated within an
    epoch. ``batch(step)`` depends on seed and step only, so a resumed run sees the same batches as an uninterrupted
    one. With a ``part`` (first, count), only these positions of every batch are read, such as those of one rank.
    """

    def __init__(self, reader: Reader, batch_size: int, seed: int, part: tuple[int, int] | None = None) -> None:
        self._reader, self._batch_size, self._seed = reader, batch_size, seed
        self._first, self._count = part or (0, batch_size)
        self._permutation = lru_cache(maxsize=2)(self._draw_permutation)
        self._reading = Lock()  # a third-party reader may serve one thread at a time

    def indices(self, step: int, first: int | None = None, count: int | None = None) -> NDArray[np.int64]:
        """Indices of the scenes in the batch of a step, ``int64[count]``; by default those of the reader's part."""
        start = step * self._batch_size + (self._first if first is None else first)
        stream = np.arange(start, start + (self._count if count is None else count))
        epochs, places = np.divmod(stream, len(self._reader))
        return np.array([self._permutation(int(e))[p] for e, p in zip(epochs, places, strict=True)], np.int64)

    def batch(self, step: int) -> SceneBatch:
        """The batch of a step, or its part."""
        with self._reading:
            return self._reader.batch(self.indices(step))

    def whole(self, step: int) -> SceneBatch:
        """The whole batch of a step; can be read while other batches are being prefetched."""
        with self._reading:
            return self._reader.batch(self.indices(step, 0, self._batch_size))

    def prefetched(self, start: int, stop: int) -> Iterator[SceneBatch]:
        """The batches of steps ``start`` to ``stop - 1``; each is read while the previous one is in use."""
        with ThreadPoolExecutor(1) as thread:
            future = thread.submit(self.batch, start)
            for step in range(start, stop):
                batch = future.result()
                if step + 1 < stop:
                    future = thread.submit(self.batch, step + 1)
                yield batch

    def _draw_permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._reader))


def in_order(reader: Reader, batch_size: int, count: int) -> Iterator[SceneBatch]:
    """The first ``count`` scenes, in order; the last batch can be smaller."""
    for start in range(0, count, batch_size):
        yield reader.batch(range(start, min(start + batch_size, count)))
