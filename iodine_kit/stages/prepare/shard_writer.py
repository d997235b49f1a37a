"""Assign the scenes of each record to a split, and write full shards."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from time import perf_counter

from iodine_kit.errors import CountError
from iodine_kit.formats import FORMATS, FormatPlugin
from iodine_kit.formatting import counted
from iodine_kit.progress import Reporter
from iodine_kit.split_rules import SplitRule
from iodine_kit.stages.prepare.finished_shards import FinishedShards
from iodine_kit.stages.prepare.journal import Journal, State
from iodine_kit.stages.prepare.process_record import RecordProcessor, RecordResult, require_same_columns
from iodine_kit.system import require_free_space, sync_to_disk

_NOTED = 8
"""Each of the first shards, or bad records, has its note; of later ones only every power of two: logs stay short."""


def _is_noted(number: int) -> bool:
    """Whether the shard or bad record ``number``, counted from 0, has a note."""
    return number < _NOTED or (number + 1) & number == 0


class ShardWriter:
    """Writes a data set to ``directory``, record by record in their order."""

    def __init__(
        self, directory: Path, processor: RecordProcessor, rule: SplitRule, journal: Journal, reporter: Reporter
    ) -> None:
        """Continue from the state of the journal.

        Raises:
            ArtifactCorruptError: if a finished shard was changed or removed after the interruption.
        """
        self._directory, self._rule, self._journal, self._reporter = directory, rule, journal, reporter
        self._plugin: FormatPlugin = FORMATS.load(processor.format)
        self._config = processor.format_config
        self._shard_size = processor.format_config.scenes_per_shard
        has_filter = {processor.preprocess.min_objects, processor.preprocess.max_objects} != {None}
        self._expected_records = 0 if has_filter else rule.total
        self._shard_started, self._last_note = perf_counter(), ""
        self._finished = FinishedShards(directory, journal.state)
        self._finished.check()

    @property
    def state(self) -> State:
        """The progress so far."""
        return self._journal.state

    @property
    def complete(self) -> bool:
        """Whether no further record is needed."""
        return self._rule.complete(self.state.next_record, self.state.kept)

    def add(self, result: RecordResult) -> bool:
        """Add the scenes of the next record; returns whether it belongs to a split."""
        state = self.state
        split = self._rule.assign(result.record, result.split, state.kept)
        state.next_record = result.record + 1
        state.dropped += result.dropped
        if result.bad:
            state.bad.append((result.record, result.bad))
            self._note_bad(result.bad)
        if split and result.samples:
            self._check_columns(result)
            state.kept[split] = state.kept.get(split, 0) + 1
            state.entities = max(state.entities, result.entities)
            self._describe(split, result)
            self._journal.append(split, result.samples)
            self._write_full_shards(split)
        else:
            state.surplus += len(result.samples)
        return bool(split and result.samples)

    def _describe(self, split: str, result: RecordResult) -> None:
        """Record what the kept scenes of a record say about the data set."""
        state = self.state
        state.ignored = state.ignored or result.ignored
        if result.unmasked:
            state.unmasked[split] = state.unmasked.get(split, 0) + result.unmasked
        for text in result.remarks:
            count, first = state.remarks.get(text, (0, result.place))
            state.remarks[text] = (count + 1, first)

    def finish(self) -> dict[str, int]:
        """Write the remaining samples and finish every split; returns the number of scenes per split."""
        self._journal.write()
        for split in self._splits():
            while self._journal.waiting(split):
                self._write_shard(split)
            self._note_last_shard()
        shards = self.state.shards
        if not self.state.finishing:
            self._finished.keep_last()
        self.state.finishing = True
        self._journal.write()
        self._journal.sync()  # before the format gives shards other names
        for split in shards:
            self._plugin.finish(self._directory, split, shards[split], self._config)
        return {split: sum(shards[split]) for split in self._splits() if split in shards}

    def _write_full_shards(self, split: str) -> None:
        while self._journal.waiting(split) >= self._shard_size:
            self._write_shard(split)

    def _splits(self) -> list[str]:
        """All splits: first those of the rule, in its order, then the others in the order of the source."""
        return list(dict.fromkeys(chain(self._rule.names, self.state.kept)))

    def _check_columns(self, result: RecordResult) -> None:
        assert result.columns is not None
        if not self.state.columns:
            self.state.columns = result.columns
            scene_bytes = sum(len(part) for part in result.samples[0].parts.values())
            scenes = self._expected_records * len(result.samples)
            waiting = min(scenes, self._shard_size)  # in the journal, until they are in a shard
            require_free_space(self._directory, (scenes + waiting) * scene_bytes)
        require_same_columns(self.state.columns, result.columns, result.place or result.samples[0].key)

    def _write_shard(self, split: str) -> None:
        number = len(self.state.shards.get(split, ()))
        count = min(self._journal.waiting(split), self._shard_size)
        samples = self._journal.samples(split, 0, count)
        columns = self.state.columns
        path = self._plugin.write_shard(self._directory, split, number, samples, count, columns, self._config)
        sync_to_disk(path)  # before the journal drops the samples
        self._finished.add(path)
        self._journal.finish_shard(split, count)
        rate = count / max(perf_counter() - self._shard_started, 1e-9)
        self._shard_started = perf_counter()
        rate_text = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        self._last_note = f"{split}: shard {number} with {counted(count, 'scene')}, {rate_text} scenes per second"
        if _is_noted(number):
            self._note_last_shard()

    def _note_last_shard(self) -> None:
        if self._last_note:
            self._reporter.note(self._last_note)
        self._last_note = ""

    def _note_bad(self, reason: str) -> None:
        count = len(self.state.bad)
        if _is_noted(count - 1):
            self._reporter.note(f"omitted: {reason}" + (f" ({count} so far)" if count > _NOTED else ""))


def require_complete(records: int, rule: SplitRule, state: State, source: str, protocol: str) -> None:
    """Raise :class:`CountError` if a source with this number of records does not fill the splits of the rule."""
    shortage = rule.shortage(records, state.kept)
    if shortage:
        dropped = f" (the filter removed {state.dropped} scenes)" if state.dropped else ""
        advice = f"protocol {protocol} needs another source; use --protocol '' and --split NAME=N"
        advice = advice if protocol else "request smaller splits with --split NAME=N"
        raise CountError(f"{source}: contains {records} records{dropped}: {shortage}; {advice}")
    if not state.kept:
        raise CountError(f"{source}: no scene of its {records} records remains after filtering")
