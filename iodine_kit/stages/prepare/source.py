"""The records of a source by number, read forwards.

A range of records can be requested without those before it: layouts skip them, and decode none of them. A source keeps
its position, so that consecutive ranges cost one pass over the files. This matters for compressed files, of which every
byte before a record has to be inflated, and for folders, which are listed only once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from iodine_kit.errors import SchemaError
from iodine_kit.layouts import LAYOUTS, Item, numbered_items
from iodine_kit.split_rules import SplitRule
from iodine_kit.stages.prepare.process_record import RecordProcessor

NumberedItem = tuple[int, Item]


@dataclass(frozen=True)
class SourcePlan:
    """Which records there are; can be sent to another process, which then opens the files itself.

    Attributes:
        processor: turns one record into encoded scenes.
        rule: assigns records to splits.
        generated: number of scenes to generate, by split; empty if files are read.
        paths: the files to read.
    """

    processor: RecordProcessor
    rule: SplitRule
    generated: Mapping[str, int] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()

    def files(self) -> list[Path]:
        """The files and folders that are read, by the layout or by a generator."""
        return [*self.paths, *(value for _, value in self.processor.dataset_config if isinstance(value, Path))]


class Source:
    """Reads records; for one thread.

    Attributes:
        seen: number of records that are known to exist.
        ended: whether the last range that was read reached the end of the source.
    """

    def __init__(self, plan: SourcePlan) -> None:
        self._plan = plan
        self._items: Iterator[NumberedItem] | None = None
        self._position = 0  # the record that follows the one which was yielded last
        self._range = range(0)
        self._in_splits: bool | None = None
        self.seen, self.ended = 0, False

    def candidates(self, start: int, stop: int = sys.maxsize) -> Iterator[NumberedItem]:
        """Yield the records ``start`` to ``stop - 1`` that can belong to a split, in order.

        Raises:
            SchemaError: if some records were published in splits and others were not.
            IodineKitError: what the layout raises, for the first record that cannot be read.
        """
        rule, self.ended = self._plan.rule, False
        for record, item in self._records(start, stop):
            if rule.candidate(record, item.split):
                yield record, item

    def _records(self, start: int, stop: int) -> Iterator[NumberedItem]:
        if self._items is None or start < self._position:
            self._items, self._position = self._open(), 0
        self._position, self._range = start, range(start, stop)
        rule, items = self._plan.rule, self._items
        while self._position < stop and not rule.complete(self._position, {}):
            self._items = None  # unless the next record is read: what raised an error cannot continue
            entry = next(items, None)
            self._items = items
            if entry is None:
                self.ended = True
                return
            self._position = entry[0] + 1
            yield entry

    def _open(self) -> Iterator[NumberedItem]:
        plan, processor = self._plan, self._plan.processor
        if plan.generated:
            return self._generated()
        layout = LAYOUTS.load(processor.layout)
        return numbered_items(layout, plan.paths, processor.expected, processor.layout_config, self._is_wanted)

    def _is_wanted(self, record: int, item: Item | None) -> bool:
        """Whether a record is to be yielded; a layout asks about every record that it passes, in order."""
        self.seen = max(self.seen, record + 1)
        if item is not None:
            self._check_split(item)
        if record + 1 == self._range.stop:
            return True  # so that the layout does not pass over all records after the range
        # A rule that refuses a record without a published split refuses it with any.
        return record in self._range and self._plan.rule.candidate(record, "")

    def _check_split(self, item: Item) -> None:
        if self._in_splits is None:
            self._in_splits = bool(item.split)
        if self._in_splits != bool(item.split):
            raise SchemaError(
                f"{item.place}: only some files are in folders train, val or test: put all of them there, or none"
            )

    def _generated(self) -> Iterator[NumberedItem]:
        names, ends = list(self._plan.generated), list(accumulate(self._plan.generated.values()))
        while self._position < ends[-1]:
            record = self._position
            place = next(place for place, end in enumerate(ends) if record < end)
            index = record - (ends[place - 1] if place else 0)
            self.seen = record + 1
            yield record, Item(f"{names[place]} {index}", index, names[place])
