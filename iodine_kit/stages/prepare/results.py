"""The results of all records, in order: made in this process, by the workers of an engine, or by an interrupted run.

Whoever makes them, they are the same. So a run resumes with any engine and any number of workers.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

from iodine_kit.engines import EngineConfig
from iodine_kit.progress import Reporter
from iodine_kit.stages.prepare.blocks import (
    STEM,
    BlockEnd,
    ProcessBlock,
    is_usable,
    raise_again,
    read_block,
    unit_number,
)
from iodine_kit.stages.prepare.journal import State
from iodine_kit.stages.prepare.process_record import RecordResult
from iodine_kit.stages.prepare.schedule import Schedule
from iodine_kit.stages.prepare.source import Source, SourcePlan
from iodine_kit.units import finished_units, make_units


class OrderedResults:
    """Makes or finds the results of records.

    Attributes:
        seen: number of records of the source that are known to exist.
    """

    def __init__(
        self, plan: SourcePlan, state: State, directory: Path, engine: EngineConfig, reporter: Reporter
    ) -> None:
        """``directory`` is for the files of blocks; whoever uses the results updates ``state``, the progress."""
        self._plan, self._state, self._directory = plan, state, directory
        self._engine, self._reporter = engine, reporter
        self._finished = self._usable()
        self.seen = state.next_record

    def make(self, keep: Callable[[], None]) -> Generator[RecordResult, None, None]:
        """Yield the result of every record that is not in the state yet.

        Args:
            keep: called before the file of a block is deleted: stores the results that were yielded.

        Raises:
            IodineKitError: the first error of a record, see :meth:`RecordProcessor.process`; or what engines raise.
        """
        if self._plan.rule.complete(self._state.next_record, self._state.kept):
            return
        here = self._engine.name == "local" and self._engine.workers == 1
        yield from self._make_here(keep) if here else self._make_elsewhere(keep)

    def discard(self) -> None:
        """Delete the files of all blocks. A worker that is late then has no place for its file."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _usable(self) -> dict[int, Path]:
        """The finished blocks by number; those with an error are deleted."""
        finished = finished_units(self._directory, STEM)
        for number in [number for number, path in finished.items() if not is_usable(path)]:
            finished.pop(number).unlink()
        return finished

    def _make_here(self, keep: Callable[[], None]) -> Generator[RecordResult, None, None]:
        source, position = Source(self._plan), self._state.next_record
        schedule = Schedule(self._plan, position, self._finished, 1)
        while position < schedule.end and not source.ended:
            block = schedule.finished_at(position)
            if block:
                end = yield from self._read(self._finished[unit_number(block.start, len(block))], keep)
                position = schedule.end if end.ended else block.stop
                continue
            stop = schedule.next_finished(position)
            for record, item in source.candidates(position, stop):
                yield self._plan.processor.process(record, item)
            self.seen, position = max(self.seen, source.seen), stop

    def _make_elsewhere(self, keep: Callable[[], None]) -> Generator[RecordResult, None, None]:
        self._directory.mkdir(exist_ok=True)
        schedule = Schedule(self._plan, self._state.next_record, self._finished, self._engine.workers)
        work = ProcessBlock(self._plan, self._state.made_with, Path.cwd(), uuid4().hex)
        units = make_units(work, self._directory, STEM, schedule, self._engine, self._reporter)
        try:
            with closing(units):
                for path in units:
                    end = yield from self._read(path, keep)
                    schedule.learn(end)
                    if end.ended:
                        return
        finally:
            self._tidy()

    def _tidy(self) -> None:
        """Delete what workers left that were ended, blocks with an error, and the folder if nothing else is in it."""
        self._usable()
        for abandoned in self._directory.glob(".*.tmp"):
            abandoned.unlink(missing_ok=True)
        with suppress(OSError):
            self._directory.rmdir()

    def _read(self, path: Path, keep: Callable[[], None]) -> Generator[RecordResult, None, BlockEnd]:
        """Yield the results of a finished block and delete its file; returns the end."""
        end, before = BlockEnd(), self._state.next_record
        for one in read_block(path, self._state.made_with):
            if isinstance(one, BlockEnd):
                end = one
            elif one.record >= self._state.next_record:
                yield one
        if self._state.next_record > before:
            keep()
        path.unlink()
        raise_again(end)
        self.seen = max(self.seen, end.seen)
        return end
