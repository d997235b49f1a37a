"""Deals outcomes out to splits, and turns what waits into shards."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from time import perf_counter

from iodine_kit.errors import ArtifactCorruptError, CountError
from iodine_kit.formats import FORMATS, FormatPlugin
from iodine_kit.progress import Reporter
from iodine_kit.split_rules import SplitRule
from iodine_kit.stages.prepare.journal import Journal, State
from iodine_kit.stages.prepare.prepare_plan import Work
from iodine_kit.stages.prepare.process_record import Outcome, require_same
from iodine_kit.system import require_space, sync


class Assembly:
    """A data set that grows in ``directory``, record by record in their order."""

    def __init__(self, directory: Path, work: Work, journal: Journal, reporter: Reporter) -> None:
        """Go on with what the journal tells of."""
        self._directory, self._rule, self._journal, self._reporter = directory, work.rule, journal, reporter
        self._plugin: FormatPlugin = FORMATS.load(work.recipe.format)
        self._config = work.recipe.format_config
        self._shard_size = work.recipe.format_config.scenes_per_shard
        filtered = {work.recipe.preprocess.min_objects, work.recipe.preprocess.max_objects} != {None}
        self._foreseen = 0 if filtered else work.rule.total
        self._since = perf_counter()
        self._check_shards()

    @property
    def state(self) -> State:
        """Where the work stands."""
        return self._journal.state

    @property
    def complete(self) -> bool:
        """Whether no further record is needed."""
        return self._rule.complete(self.state.next_record, self.state.kept)

    def take(self, outcome: Outcome) -> bool:
        """Count in what came of the next record; returns whether any of its scenes were kept."""
        state = self.state
        split = self._rule.assign(outcome.record, outcome.split, state.kept)
        state.next_record = outcome.record + 1
        state.dropped += outcome.dropped
        if outcome.bad:
            state.bad.append((outcome.record, outcome.bad))
            self._reporter.note(f"left out: {outcome.bad}")
        if split and outcome.samples:
            self._check(outcome)
            state.kept[split] = state.kept.get(split, 0) + 1
            state.entities = max(state.entities, outcome.entities)
            self._journal.append(split, outcome.samples)
            self._write_full_shards(split)
        else:
            state.surplus += len(outcome.samples)
        return bool(split and outcome.samples)

    def finish(self) -> dict[str, int]:
        """Write what still waits, and make every split ready; returns the number of scenes per split."""
        self._journal.write()
        for split in self._splits():
            while self._journal.waiting(split):
                self._write_shard(split)
        shards = self.state.shards
        for split in shards:
            self._plugin.finish(self._directory, split, shards[split], self._config)
        return {split: sum(shards[split]) for split in self._splits() if split in shards}

    def _check_shards(self) -> None:
        """Raise :class:`ArtifactCorruptError` if a shard is not what an interrupted run left."""
        for name, size in self.state.files.items():
            path = self._directory / name
            if not path.is_file() or path.stat().st_size != size:
                raise ArtifactCorruptError(f"{path}: this finished shard was altered or removed; add --overwrite")

    def _write_full_shards(self, split: str) -> None:
        while self._journal.waiting(split) >= self._shard_size:
            self._write_shard(split)

    def _splits(self) -> list[str]:
        """All splits, in the rule's order if it has one."""
        return list(dict.fromkeys(chain(self._rule.names, self.state.kept)))

    def _check(self, outcome: Outcome) -> None:
        assert outcome.columns is not None
        if not self.state.columns:
            self.state.columns = outcome.columns
            scene = sum(len(part) for part in outcome.samples[0].parts.values())
            scenes = self._foreseen * len(outcome.samples)
            waiting = min(scenes, self._shard_size)  # in the journal, until they are in a shard
            require_space(self._directory, (scenes + waiting) * scene)
        require_same(self.state.columns, outcome.columns, outcome.samples[0].key)

    def _write_shard(self, split: str) -> None:
        number = len(self.state.shards.get(split, ()))
        count = min(self._journal.waiting(split), self._shard_size)
        samples = self._journal.samples(split, 0, count)
        columns = self.state.columns
        path = self._plugin.write_shard(self._directory, split, number, samples, count, columns, self._config)
        sync(path)  # before the journal forgets what is in it
        self.state.files[path.name] = path.stat().st_size
        self._journal.shard_is_finished(split, count)
        rate = count / max(perf_counter() - self._since, 1e-9)
        self._since = perf_counter()
        told = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        self._reporter.note(f"{split}: shard {number} of {count:,} scenes, {told} per second")


def require_complete(records: int, rule: SplitRule, state: State, source: str, protocol: str) -> None:
    """Raise :class:`CountError` if a source of so many records does not give what the rule asks for."""
    shortage = rule.shortage(records, state.kept)
    if shortage:
        dropped = f" ({state.dropped} were left out by the filter)" if state.dropped else ""
        advice = f"this is not what protocol {protocol} is about; take --protocol '' and --split NAME=N"
        advice = advice if protocol else "give smaller splits with --split NAME=N"
        raise CountError(f"{source}: holds {records} records{dropped}: {shortage}; {advice}")
    if not state.kept:
        raise CountError(f"{source}: no scene is left of its {records} records")
