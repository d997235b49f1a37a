"""Carrying a plan out: records in, shards and facts out, going on where an interruption left off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from iodine_kit.config import differences
from iodine_kit.datasets import DATASETS, made_with
from iodine_kit.errors import CorruptDataError, CountError, ImageSizeError, ResumeError, SchemaError
from iodine_kit.layouts import Item
from iodine_kit.progress import Reporter
from iodine_kit.runner import Facts
from iodine_kit.stages.prepare.describe import describe, write_contact_sheet, write_description
from iodine_kit.stages.prepare.journal import NAME, Journal, State
from iodine_kit.stages.prepare.prepare_plan import Work
from iodine_kit.stages.prepare.shard_writer import Assembly, require_complete
from iodine_kit.stages.prepare.workers import carried_out

FINAL = (CorruptDataError, CountError, ImageSizeError, SchemaError)
"""Errors that the same command would meet again: nothing is gained by keeping what was done before them."""


def make(work: Work, out: Path, reporter: Reporter) -> Facts:
    """Fill ``out``; what is done is kept for the next time, unless there cannot be one."""
    journal = Journal(out / NAME)
    try:
        return _fill(work, journal, out, reporter)
    except FINAL:
        journal.remove()
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what is finished stays, and the same command goes on") from None
    finally:
        journal.close()


def _fill(work: Work, journal: Journal, out: Path, reporter: Reporter) -> Facts:
    format_name = work.recipe.format
    assembly = Assembly(out, work, journal, reporter)
    records = _Candidates(work, journal.state)
    _remember_programs(work, journal.state)
    if journal.state.next_record:
        reporter.note(f"going on after {journal.state.next_record:,} records")
    with reporter.track(f"prepare {work.recipe.dataset}", work.rule.total, sum(journal.state.kept.values())) as advance:
        for outcome in carried_out(work.recipe, records, work.workers):
            advance(int(assembly.take(outcome)))
            _check_bad(work, journal.state, at_least=_JUDGED)
            if assembly.complete:
                break
    state = journal.state
    _check_bad(work, state)
    require_complete(records.seen, work.rule, state, work.source, work.origin.get("protocol", ""))
    facts = describe(work.recipe.expected.info, assembly.finish(), format_name, state)
    facts |= {"origin": {**work.origin, "made_with": state.made_with}, "expected": dict(work.expected)}
    _compare(facts["splits"], work, reporter)
    write_description(out, facts)
    write_contact_sheet(out, facts)
    return facts


def _remember_programs(work: Work, state: State) -> None:
    """Keep which programs generate the scenes; raises :class:`ResumeError` if others began it."""
    if not work.generated:
        return
    found = dict(made_with(DATASETS.load(work.recipe.dataset), work.recipe.dataset_config))
    if state.next_record and found != state.made_with:
        changed = "; ".join(differences(state.made_with, found))
        raise ResumeError(f"{work.source}: what is there was made with other programs ({changed}); add --overwrite")
    state.made_with = found


_JUDGED = 1000
"""Records before which the share of bad ones says little."""


class _Candidates:
    """The records that are still to be done, numbered; ``seen`` counts all that the source gave so far."""

    def __init__(self, work: Work, state: State) -> None:
        self._work, self._start = work, state.next_record
        self._kept = dict(state.kept)
        self._in_splits: bool | None = None
        self.seen = state.next_record

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        rule = self._work.rule
        if rule.complete(self._start, self._kept):
            return
        for record, item in enumerate(self._work.items()):
            self.seen = max(self.seen, record + 1)
            self._check_split(item)
            if record >= self._start and rule.candidate(record, item.split):
                yield record, item
            if rule.complete(record + 1, {}):
                return

    def _check_split(self, item: Item) -> None:
        """Raise :class:`SchemaError` if some records have a split of their own and others do not."""
        if self._in_splits is None:
            self._in_splits = bool(item.split)
        if self._in_splits != bool(item.split):
            raise SchemaError(
                f"{item.place}: only some files lie in train, val or test: put all of them there, or none"
            )


def _check_bad(work: Work, state: State, at_least: int = 0) -> None:
    """Raise :class:`CorruptDataError` if more than the stated share of so many records had to be left out."""
    bad = len(state.bad)
    if bad > work.max_bad * max(state.next_record, at_least):
        raise CorruptDataError(
            f"{work.source}: {bad} of {state.next_record} records are bad, more than the share of {work.max_bad:g} "
            f"that prepare.max_bad allows; the first: {state.bad[0][1]}"
        )


def _compare(splits: dict[str, int], work: Work, reporter: Reporter) -> None:
    """Say where a protocol's published counts are not met."""
    for split, count in work.expected.items():
        if splits.get(split, 0) != count:
            reporter.note(
                f"note: split '{split}' has {splits.get(split, 0):,} scenes, and the protocol's authors had {count:,}"
            )
