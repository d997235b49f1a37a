"""Execute a plan: process the records, write shards, return facts. An interrupted run resumes where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iodine_kit.config import differences
from iodine_kit.datasets import DATASETS, external_versions
from iodine_kit.engines import IN_THIS_PROCESS, EngineConfig
from iodine_kit.errors import FINAL, CorruptDataError, ResumeError
from iodine_kit.formatting import counted
from iodine_kit.progress import Reporter
from iodine_kit.records import IN_ALL
from iodine_kit.runner import FactValues
from iodine_kit.stages.prepare.describe import describe, write_contact_sheet, write_description
from iodine_kit.stages.prepare.journal import NAME, Journal, State
from iodine_kit.stages.prepare.results import OrderedResults
from iodine_kit.stages.prepare.shard_writer import ShardWriter, require_complete
from iodine_kit.stages.prepare.source import SourcePlan

BLOCKS = f"{NAME}.blocks"
"""Folder of the blocks of records that are processed and not stored yet."""
STATE = f"{NAME}*"
"""Pattern of what an interrupted run resumes from."""
_MIN_RECORDS_JUDGED = 1000
"""The share of bad records is computed over at least this many records, until the end of the source is reached."""


@dataclass(frozen=True)
class PreparePlan:
    """What to prepare, fully resolved.

    Attributes:
        records: which records there are, and what is made of them.
        source: name of the source in messages.
        max_bad: largest accepted share of bad records.
        engine: where blocks of records are processed.
        origin: facts for the manifest: where the scenes come from and which rules selected them.
        expected: number of scenes by split, as published by the authors of the protocol.
    """

    records: SourcePlan
    source: str
    max_bad: float = 0.0
    engine: EngineConfig = IN_THIS_PROCESS
    origin: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, int] = field(default_factory=dict)


def make(plan: PreparePlan, out: Path, reporter: Reporter) -> FactValues:
    """Write the data set to ``out`` and return its facts.

    The progress is kept for the next run, unless the error is one that the next run would raise again.
    """
    journal = Journal(out / NAME)
    results = OrderedResults(plan.records, journal.state, out / BLOCKS, plan.engine, reporter)
    try:
        return _fill(plan, journal, results, out, reporter)
    except FINAL:
        journal.remove()
        results.discard()
        raise
    except KeyboardInterrupt:
        if not any(path.is_file() for path in (out / NAME, *(out / BLOCKS).glob("*.unit"))):
            results.discard()
            raise
        what = "shards" if journal.state.files else "records"
        raise KeyboardInterrupt(f"finished {what} are kept; run the same command again to resume") from None
    finally:
        journal.close()


def _fill(plan: PreparePlan, journal: Journal, results: OrderedResults, out: Path, reporter: Reporter) -> FactValues:
    processor, rule, state = plan.records.processor, plan.records.rule, journal.state
    writer = ShardWriter(out, processor, rule, journal, reporter)
    _record_external_versions(plan, state)
    if state.next_record:
        reporter.note(f"resuming after {state.next_record:,} records")
    with (
        reporter.track(f"prepare {processor.dataset}", rule.total, sum(state.kept.values())) as advance,
        closing(results.make(keep=journal.write)) as made,
    ):
        for result in made:
            advance(int(writer.add(result)))
            _check_bad(plan, state, at_least=_MIN_RECORDS_JUDGED)
            if writer.complete:
                break
    _check_bad(plan, state)
    require_complete(max(results.seen, state.next_record), rule, state, plan.source, plan.origin.get("protocol", ""))
    results.discard()
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
    processor = plan.records.processor
    if not plan.records.generated:
        return
    versions = dict(external_versions(DATASETS.load(processor.dataset), processor.dataset_config))
    if state.next_record and versions != state.made_with:
        changed = "; ".join(differences(state.made_with, versions))
        raise ResumeError(
            f"{plan.source}: the interrupted run used other programs ({changed}); start again with --overwrite"
        )
    state.made_with = versions


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
