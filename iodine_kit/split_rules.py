"""Split rules: which record of a source belongs to which split."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

Kept = Mapping[str, int]
"""Number of records kept so far, by split; a record is a scene, or a video with several scenes."""

UNNAMED = "train"
"""The split of records that belong to no published split."""

SPLITS = ("train", "val", "test")
"""Names of published splits, in their order."""

_SPLIT_NAME = re.compile(r"(train|val|test)(ing|idation)?(?![a-z])")


def split_name(name: str) -> str:
    """The split that a name starts with (``training_images.npy``, ``validation``): one of :data:`SPLITS`, or ""."""
    match = _SPLIT_NAME.match(name.lower())
    return match[1] if match else ""


class SplitRule(Protocol):
    """Assigns records to splits. Records are numbered from 0 in the order of the source."""

    @property
    def names(self) -> tuple[str, ...]:
        """All splits, in order; empty if only the source knows them."""

    def candidate(self, record: int, own: str) -> bool:
        """Whether a record can belong to any split; ``own`` is the split in which it was published, or empty."""

    def assign(self, record: int, own: str, kept: Kept) -> str:
        """The split of a candidate that passed all filters; empty if it belongs to none."""

    def complete(self, record: int, kept: Kept) -> bool:
        """Whether no record from ``record`` on is needed."""

    def shortage(self, records: int, kept: Kept) -> str:
        """Why a source with this number of records is too small; empty if it is not."""

    @property
    def total(self) -> int:
        """Number of records in all splits, before any filter; 0 if only the source knows it."""

    def describe(self) -> dict[str, Any]:
        """The rule in JSON types, for keys and manifests."""


@dataclass(frozen=True)
class Own:
    """Every record stays in the split in which it was published.

    Attributes:
        names: the splits to use; empty means all.
        most: largest number of kept records, by split, for some splits.
    """

    names: tuple[str, ...] = ()
    most: tuple[tuple[str, int], ...] = ()
    total: int = 0

    def candidate(self, record: int, own: str) -> bool:
        """Whether the rule uses the record's published split; true if it names no splits or the record has none."""
        return not self.names or not own or own in self.names

    def assign(self, record: int, own: str, kept: Kept) -> str:
        """The published split, or else the first name or ``train``; empty once that split has its largest number."""
        split = own or (self.names[0] if self.names else UNNAMED)
        return "" if kept.get(split, 0) >= dict(self.most).get(split, math.inf) else split

    def complete(self, record: int, kept: Kept) -> bool:
        """Never: only the source knows where its splits end."""
        return False

    def shortage(self, records: int, kept: Kept) -> str:
        """Which of the named splits have no kept record; empty if each has one."""
        lacking = [f"'{name}'" for name in self.names if name not in kept]
        return f"it has no records for split {' and '.join(lacking)}" if lacking else ""

    def describe(self) -> dict[str, Any]:
        """The rule in JSON types: names and largest numbers."""
        return {"rule": "as published", "splits": list(self.names), "most": dict(self.most)}


@dataclass(frozen=True)
class Counts:
    """A number of kept records for each split, in the order of the source: first those of the first split, and so on.

    If records were published in splits, each split takes its records from the split of the same name.
    """

    counts: tuple[tuple[str, int], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order in which they are filled."""
        return tuple(name for name, _ in self.counts)

    def candidate(self, record: int, own: str) -> bool:
        """Whether the record was published in a split of this rule, or in none."""
        return not own or own in self.names

    def assign(self, record: int, own: str, kept: Kept) -> str:
        """The first split that lacks records and has the name of the published one; empty if there is none."""
        lacking = (name for name, count in self.counts if kept.get(name, 0) < count and own in ("", name))
        return next(lacking, "")

    def complete(self, record: int, kept: Kept) -> bool:
        """Whether every split has its number of records."""
        return all(kept.get(name, 0) >= count for name, count in self.counts)

    def shortage(self, records: int, kept: Kept) -> str:
        """How many records each split lacks; empty if none."""
        lacking = [f"{count - kept.get(name, 0)} of {count} for '{name}'" for name, count in self.counts
                   if kept.get(name, 0) < count]  # fmt: skip
        return f"it lacks {' and '.join(lacking)}" if lacking else ""

    @property
    def total(self) -> int:
        """Sum of the counts, in records."""
        return sum(count for _, count in self.counts)

    def describe(self) -> dict[str, Any]:
        """The rule in JSON types: splits with their counts."""
        return {"rule": "kept records in order", "splits": [list(pair) for pair in self.counts]}


@dataclass(frozen=True)
class Range:
    """Records ``start`` to ``stop - 1``, before any filter; with ``most`` > 0, only the first ``most`` kept ones."""

    split: str
    start: int
    stop: int
    most: int = 0

    def is_full(self, kept: Kept) -> bool:
        """Whether ``most`` records of the split are kept; never if ``most`` is 0."""
        return 0 < self.most <= kept.get(self.split, 0)


@dataclass(frozen=True)
class Ranges:
    """Ranges of record numbers."""

    ranges: tuple[Range, ...]

    @classmethod
    def of_counts(cls, counts: Mapping[str, int]) -> Ranges:
        """Consecutive ranges with these lengths, starting at 0."""
        ranges, start = [], 0
        for split, count in counts.items():
            ranges.append(Range(split, start, start + count))
            start += count
        return cls(tuple(ranges))

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order of the ranges."""
        return tuple(part.split for part in self.ranges)

    def candidate(self, record: int, own: str) -> bool:
        """Whether the record is in a range; the published split does not matter."""
        return any(part.start <= record < part.stop for part in self.ranges)

    def assign(self, record: int, own: str, kept: Kept) -> str:
        """The split of the first range that has the record and is not full; empty if there is none."""
        fits = (p.split for p in self.ranges if p.start <= record < p.stop and not p.is_full(kept))
        return next(fits, "")

    def complete(self, record: int, kept: Kept) -> bool:
        """Whether every range ends before ``record``, or is full."""
        return all(record >= part.stop or part.is_full(kept) for part in self.ranges)

    def shortage(self, records: int, kept: Kept) -> str:
        """Which ranges reach beyond the last record and are not full; empty if none."""
        lacking = [
            f"'{part.split}' takes records {part.start} to {part.stop - 1}"
            for part in self.ranges
            if records < part.stop and not part.is_full(kept)
        ]
        return f"split {' and '.join(lacking)}" if lacking else ""

    @property
    def total(self) -> int:
        """Number of records in all ranges; ``most`` of a range, if it is not 0."""
        return sum(part.most or part.stop - part.start for part in self.ranges)

    def describe(self) -> dict[str, Any]:
        """The rule in JSON types: split, start, stop and most of each range."""
        return {"rule": "ranges of records", "splits": [[p.split, p.start, p.stop, p.most] for p in self.ranges]}


@dataclass(frozen=True)
class Shuffled:
    """A random division of ``total`` records: ``random.Random(seed).shuffle`` of their numbers, cut into splits.

    ``shares`` are cumulative: a split gets the shuffled numbers between the previous share and its own.
    """

    total: int
    seed: int
    shares: tuple[tuple[str, float], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order of their shares."""
        return tuple(name for name, _ in self.shares)

    def candidate(self, record: int, own: str) -> bool:
        """Whether the record is among the first ``total``."""
        return record < self.total

    def assign(self, record: int, own: str, kept: Kept) -> str:
        """The split that the shuffle gives to the record; empty for records beyond ``total``."""
        return self._split_of[record] if record < self.total else ""

    def complete(self, record: int, kept: Kept) -> bool:
        """Whether ``record`` is beyond ``total``."""
        return record >= self.total

    def shortage(self, records: int, kept: Kept) -> str:
        """A sentence if the source has fewer records than ``total``; empty otherwise."""
        return f"the rule divides {self.total} records" if records < self.total else ""

    def describe(self) -> dict[str, Any]:
        """The rule in JSON types: total, seed and shares."""
        shares = [list(pair) for pair in self.shares]
        return {"rule": "shuffled records", "total": self.total, "seed": self.seed, "splits": shares}

    @cached_property
    def _split_of(self) -> list[str]:
        numbers = list(range(self.total))
        random.Random(self.seed).shuffle(numbers)
        split_of, start = [""] * self.total, 0
        for name, share in self.shares:
            stop = int(share * self.total)
            for number in numbers[start:stop]:
                split_of[number] = name
            start = stop
        return split_of
