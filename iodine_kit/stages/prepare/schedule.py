"""Which blocks of records a run of the stage makes: those that are finished are used again, and others fill the gaps.

The size of a block adapts to the speed. It takes seconds, so that little is lost with a worker, and its files and
messages cost little. Sizes decide nothing else: any blocks give the same data set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from iodine_kit.stages.prepare.blocks import LARGEST, BlockEnd, records_of, unit_number
from iodine_kit.stages.prepare.source import SourcePlan

BLOCK_SECONDS = 2.0
"""Target duration of a block."""
_LEAST_SECONDS = 0.1
"""Towards the end of the work blocks become smaller, so that all workers end together, but not smaller than this."""
_MOST_BYTES = 32 << 20
_MANY = 1_000_000
_SHARES = 3
"""A block is at most this part of the remaining work of a worker."""


class Schedule:
    """An iterator of the numbers of blocks, without gaps and in order.

    Attributes:
        end: no record from this one on exists; a huge number if only the source knows.
    """

    def __init__(self, plan: SourcePlan, start: int, finished: Mapping[int, Path], workers: int) -> None:
        """``start`` is the first record that is needed; ``finished`` are blocks of an interrupted run."""
        self._plan, self._position, self._workers = plan, start, workers
        self._finished = [records_of(number) for number in finished]
        self.end = sum(plan.generated.values()) or sys.maxsize
        self._seconds = 0.0  # per record
        self._bytes = 0.0
        self._size = 1

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        """The block of the first record that no block before has."""
        rule = self._plan.rule
        while self._position < self.end and not rule.complete(self._position, {}):
            block = self.finished_at(self._position) or self._next_block()
            self._position = block.stop
            if any(rule.candidate(record, "") for record in block):
                return unit_number(block.start, len(block))
        raise StopIteration

    def __length_hint__(self) -> int:
        """At most this many blocks, for engines that give a worker several of them at once."""
        return max(0, min(self.end - self._position, _MANY))

    def finished_at(self, position: int) -> range | None:
        """The finished block with a record that reaches farthest; ``None`` if there is none."""
        return max((one for one in self._finished if position in one), key=lambda one: one.stop, default=None)

    def next_finished(self, position: int) -> int:
        """The first record of a finished block after a position."""
        return min((one.start for one in self._finished if one.start > position), default=self.end)

    def learn(self, end: BlockEnd) -> None:
        """Take note of the speed of a block that this run made."""
        if not end.records:
            return
        self._seconds = max(end.seconds / end.records, 1e-6)
        self._bytes = end.bytes / end.records
        self._size = max(1, min(LARGEST, int(BLOCK_SECONDS / self._seconds), int(_MOST_BYTES / (self._bytes or 1))))

    def _next_block(self) -> range:
        size = self._size
        remaining = min(self._plan.rule.total, self.end) - self._position
        if remaining > 0 and self._seconds:
            share = max(remaining // (_SHARES * self._workers), int(_LEAST_SECONDS / self._seconds))
            size = min(size, max(share, 1))
        size = min(size, self.next_finished(self._position) - self._position)
        return range(self._position, self._position + (1 << size.bit_length() - 1))
