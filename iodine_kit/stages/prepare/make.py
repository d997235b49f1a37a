"""Execute a plan: process the records, write shards, return facts. An interrupted run resumes where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iodine_kit.config import differences
from iodine_kit.datasets import DATASETS, external_versions
from iodine_kit.errors import CorruptDataError, CountError, ImageSizeError, ResumeError, SchemaError
from iodine_kit.formatting import counted
from iodine_kit.layouts import LAYOUTS, Item
from iodine_kit.progress import Reporter
from iodine_kit.records import IN_ALL
from iodine_kit.runner import FactValues
from iodine_kit.split_rules import SplitRule
from iodine_kit.stages.prepare.describe import describe, write_contact_sheet, write_description
from iodine_kit.stages.prepare.journal import NAME, Journal, State
from iodine_kit.stages.prepare.process_record import RecordProcessor
from iodine_kit.stages.prepare.shard_writer import ShardWriter, require_complete
from iodine_kit.stages.prepare.workers import process_records

FINAL = (CorruptDataError, CountError, ImageSizeError, SchemaError)
"""Errors that the same command would raise again: the progress is not worth keeping."""
_MIN_RECORDS_JUDGED = 1000
"""The share of bad records is computed over at least this many records, until the end of the source is reached."""


@dataclass(frozen=True)
class PreparePlan:
    """What to prepare, fully resolved.

    Attributes:
        processor: turns one record into encoded scenes.
        rule: assigns records to splits.
        source: name of the source in messages.
        generated: number of scenes to generate, by split; empty if files are read.
        paths: the files to read.
        max_bad: largest accepted share of bad records.
        workers: number of processes.
        origin: facts for the manifest: where the scenes come from and which rules selected them.
        expected: number of scenes by split, as published by the authors of the protocol.
    """

    processor: RecordProcessor
    rule: SplitRule
    source: str
    generated: Mapping[str, int] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    max_bad: float = 0.0
    workers: int = 1
    origin: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, int] = field(default_factory=dict)

    def items(self) -> Iterator[Item]:
        """All records, in order."""
        if self.generated:
            splits = self.generated.items()
            return (Item(f"{split} {index}", index, split) for split, count in splits for index in range(count))
        layout = LAYOUTS.load(self.processor.layout)
        return layout.items(self.paths, self.processor.expected, self.processor.layout_config)


def make(plan: PreparePlan, out: Path, reporter: Reporter) -> FactValues:
    """Write the data set to ``out`` and return its facts.

    The progress is kept for the next run, unless the error is one that the next run would raise again.
    """
    journal = Journal(out / NAME)
    try:
        return _fill(plan, journal, out, reporter)
    except FINAL:
        journal.remove()
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished shards are kept; run the same command again to resume") from None
    finally:
        journal.close()


def _fill(plan: PreparePlan, journal: Journal, out: Path, reporter: Reporter) -> FactValues:
    processor, state = plan.processor, journal.state
    writer = ShardWriter(out, processor, plan.rule, journal, reporter)
    candidates = _Candidates(plan, state)
    _record_external_versions(plan, state)
    if state.next_record:
        reporter.note(f"resuming after {state.next_record:,} records")
    with reporter.track(f"prepare {processor.dataset}", plan.rule.total, sum(state.kept.values())) as advance:
        for result in process_records(processor, candidates, plan.workers):
            advance(int(writer.add(result)))
            _check_bad(plan, state, at_least=_MIN_RECORDS_JUDGED)
            if writer.complete:
                break
    _check_bad(plan, state)
    require_complete(candidates.seen, plan.rule, state, plan.source, plan.origin.get("protocol", ""))
    _keep_true_remarks(state)
    facts = describe(processor.expected.info, writer.finish(), processor.format, state)
    facts |= {"origin": {**plan.origin, "made_with": state.made_with}, "expected": dict(plan.expected)}
    _note_unexpected_counts(facts["splits"], plan, reporter)
    _note_remarks(state, reporter)
    if facts["info"]["entities"] == 1 and "unmasked" not in facts:
        reporter.note("note: no mask shows an object: the data set counts as one without masks")
    write_description(out, facts)
    write_contact_sheet(out, facts)
    return facts


def _record_external_versions(plan: PreparePlan, state: State) -> None:
    """Record which programs generate the scenes; raises :class:`ResumeError` if the interrupted run used others."""
    if not plan.generated:
        return
    versions = dict(external_versions(DATASETS.load(plan.processor.dataset), plan.processor.dataset_config))
    if state.next_record and versions != state.made_with:
        changed = "; ".join(differences(state.made_with, versions))
        raise ResumeError(
            f"{plan.source}: the interrupted run used other programs ({changed}); start again with --overwrite"
        )
    state.made_with = versions


class _Candidates:
    """The numbered records that are not processed yet; ``seen`` counts all records that the source yielded."""

    def __init__(self, plan: PreparePlan, state: State) -> None:
        self._plan, self._start = plan, state.next_record
        self._kept = dict(state.kept)
        self._in_splits: bool | None = None
        self.seen = state.next_record

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        rule = self._plan.rule
        if rule.complete(self._start, self._kept):
            return
        for record, item in enumerate(self._plan.items()):
            self.seen = max(self.seen, record + 1)
            self._check_split(item)
            if record >= self._start and rule.candidate(record, item.split):
                yield record, item
            if rule.complete(record + 1, {}):
                return

    def _check_split(self, item: Item) -> None:
        """Raise :class:`SchemaError` if some records were published in splits and others were not."""
        if self._in_splits is None:
            self._in_splits = bool(item.split)
        if self._in_splits != bool(item.split):
            raise SchemaError(
                f"{item.place}: only some files are in folders train, val or test: put all of them there, or none"
            )


def _check_bad(plan: PreparePlan, state: State, at_least: int = 0) -> None:
    """Raise :class:`CorruptDataError` if more than ``max_bad`` of the records, or of ``at_least`` records, are bad."""
    bad = len(state.bad)
    if bad > plan.max_bad * max(state.next_record, at_least):
        raise CorruptDataError(
            f"{plan.source}: {bad} of {state.next_record} records are bad, more than the share of {plan.max_bad:g} "
            f"that prepare.max_bad allows; the first: {state.bad[0][1]}"
        )


def _keep_true_remarks(state: State) -> None:
    """Drop remarks about all records that are true only of some."""
    records = sum(state.kept.values())
    state.remarks = {
        text: (count, first)
        for text, (count, first) in state.remarks.items()
        if count == records or not text.startswith(IN_ALL)
    }


def _note_remarks(state: State, reporter: Reporter) -> None:
    for text, (count, first) in state.remarks.items():
        reporter.note(f"note: {counted(count, 'record')}: {text}; the first: {first}")


def _note_unexpected_counts(splits: dict[str, int], plan: PreparePlan, reporter: Reporter) -> None:
    """Report the splits whose number of scenes differs from the number that the protocol's authors published."""
    for split, count in plan.expected.items():
        if splits.get(split, 0) != count:
            reporter.note(
                f"note: split '{split}' has {splits.get(split, 0):,} scenes; the authors of the protocol had {count:,}"
            )
