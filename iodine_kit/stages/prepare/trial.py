"""Make the first scenes of a data set and store none of them: what its scenes will be like, and how long they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from iodine_kit.addresses import without_secrets
from iodine_kit.artifacts.published_sources import Fetched, fetch
from iodine_kit.config import Config, build
from iodine_kit.datasets import require_external
from iodine_kit.errors import CountError
from iodine_kit.layouts import LAYOUTS, Item
from iodine_kit.preprocessing import PreprocessConfig, Size, preprocessed_size
from iodine_kit.runner import Context, Tables
from iodine_kit.split_rules import Counts, Own, Ranges, SplitRule
from iodine_kit.stages.prepare.plan import expected_of, layout_of
from iodine_kit.stages.prepare.process_record import RecordProcessor, RecordResult
from iodine_kit.stages.prepare.resolve import ResolvedConfig, configure

TRIAL_SECONDS = 0.1
"""Records are tried for this long, and at least one is."""
MOST_RECORDS = 32
_FACTOR_BYTES = 64
"""Of the factors of an entity, about."""


@dataclass(frozen=True)
class Trial:
    """What is known about a data set before it is prepared.

    Attributes:
        splits: number of scenes by split; empty if only the whole source knows it. After a filter, the largest number.
        facts: those of the artifact that can be foreseen, as in :class:`iodine_kit.artifacts.dataset.DatasetFacts`;
            empty if no scene passed the filter. The names of factors are known only if a scene was made.
        records: number of records that were processed and timed, and the ``seconds`` that they took; 0 if making a
            scene takes long, or the source is not on this machine.
        scene_bytes: mean size of a scene as it is stored.
    """

    splits: dict[str, int]
    facts: dict[str, Any] = field(default_factory=dict)
    records: int = 0
    seconds: float = 0.0
    scene_bytes: float = 0.0


def try_scenes(tables: Tables, context: Context) -> Trial:
    """Make the first scenes as ``prepare`` would, from the generator or from the published files on this machine.

    Raises:
        IodineKitError: what ``prepare`` would raise at these scenes: a source is missing or of another data set, the
            crop does not fit, a generator's program is missing, …
    """
    resolved = configure(tables)
    if resolved.config.generate is not None:
        size = require_external(resolved.dataset, resolved.dataset_config)
        preprocess = build(PreprocessConfig, resolved.preprocess, "preprocess")
        if size:
            return _foreseen(resolved, resolved.counts, preprocessed_size(size, preprocess))
        items = (Item(f"{split} 0", 0, split) for split in resolved.counts)
        return _tried(Trial(dict(resolved.counts)), resolved, _processor(resolved, "", Config(), preprocess), items)
    locations = resolved.config.source or resolved.dataset.urls(resolved.dataset_config)
    if resolved.config.source or _is_downloaded(locations, context):
        return _try_published(resolved, fetch(locations, replace(context, download=False)))
    info, rule = resolved.dataset.info(resolved.dataset_config), resolved.protocol
    values = {**resolved.dataset.PREPROCESS, **(rule.preprocess if rule else {}), **resolved.preprocess}
    size = preprocessed_size((info.height, info.width), build(PreprocessConfig, values, "preprocess"))
    splits = Counts(tuple(resolved.counts.items())) if resolved.counts else rule.splits if rule else None
    return _foreseen(resolved, _expected(resolved, splits, ()), size)


def _foreseen(resolved: ResolvedConfig, splits: dict[str, int], size: Size) -> Trial:
    """What is known of scenes of this size that cannot be made now."""
    info = resolved.dataset.info(resolved.dataset_config)
    scene_bytes = size[0] * size[1] * 4 + _FACTOR_BYTES * info.entities
    facts = {"info": {**vars(info), "height": size[0], "width": size[1]}, "splits": splits}
    return Trial(splits, {**facts, "format": resolved.config.format}, scene_bytes=scene_bytes)


def source_bytes(tables: Tables, context: Context) -> int:
    """Size of the published files on this machine; −1 if they have to be downloaded first.

    Raises:
        SourceError: a file is missing.
    """
    resolved = configure(tables)
    locations = resolved.config.source or resolved.dataset.urls(resolved.dataset_config)
    if not resolved.config.source and not _is_downloaded(locations, context):
        return -1
    fetched = fetch(locations, replace(context, download=False))
    layout = LAYOUTS.load(resolved.config.layout or layout_of(fetched, resolved.config.dataset))
    files = layout.files(fetched.paths, build(layout.Config, resolved.layout_values, "layout"))
    return sum(file.stat().st_size for file in files)


def _is_downloaded(locations: Sequence[str], context: Context) -> bool:
    """Whether the files of these addresses are in the store."""
    held = {artifact.config.get("location") for artifact in context.store.artifacts("download")}
    return held >= set(map(without_secrets, locations))


def _try_published(resolved: ResolvedConfig, fetched: Fetched) -> Trial:
    name = resolved.config.layout or layout_of(fetched, resolved.config.dataset)
    layout = LAYOUTS.load(name)
    layout_config = build(layout.Config, resolved.layout_values, "layout")
    rule = resolved.rule(layout)
    processor = _processor(resolved, name, layout_config, resolved.preprocessing(layout))
    items: Iterator[Item] = layout.items(fetched.paths, processor.expected, layout_config)
    named: tuple[Item, ...] = ()
    if getattr(layout, "READS_NAMES", False):  # all names at once: the number of records is known
        named = tuple(items)
        items = iter({item.split: item for item in reversed(named)}.values())
    return _tried(Trial(_expected(resolved, rule, named)), resolved, processor, items)


def _expected(resolved: ResolvedConfig, rule: SplitRule | None, named: Sequence[Item]) -> dict[str, int]:
    """Number of scenes by split.

    Raises:
        CountError: if the names of the files show that there are too few.
    """
    if resolved.protocol and resolved.protocol.expected.keys() == set(resolved.protocol.splits.names):
        return dict(resolved.protocol.expected)
    if isinstance(rule, Counts):
        if named and (shortage := rule.shortage(len(named), _filled(rule, named))):
            raise CountError(f"the source contains {len(named)} records: {shortage}; request smaller splits")
        return dict(rule.counts)
    if isinstance(rule, Ranges):
        return {part.split: part.most or part.stop - part.start for part in rule.ranges}
    if isinstance(rule, Own) and named:
        return dict(Counter(item.split or (rule.names or ("train",))[0] for item in named))
    return {} if resolved.config.source else dict(resolved.dataset.splits(resolved.dataset_config))


def _filled(rule: Counts, named: Sequence[Item]) -> dict[str, int]:
    kept: dict[str, int] = {}
    for number, item in enumerate(named):
        if split := rule.candidate(number, item.split) and rule.assign(number, item.split, kept):
            kept[str(split)] = kept.get(str(split), 0) + 1
    return kept


def _processor(
    resolved: ResolvedConfig, layout: str, layout_config: Config, preprocess: PreprocessConfig
) -> RecordProcessor:
    name, config = resolved.config.dataset, resolved.dataset_config
    return RecordProcessor(
        dataset=name, dataset_config=config, layout=layout, layout_config=layout_config,
        expected=expected_of(name, config, published=bool(layout)), preprocess=preprocess,
        format=resolved.config.format, format_config=resolved.format_config, seed=resolved.config.seed,
        skip_bad=resolved.config.skip_bad,
    )  # fmt: skip


def _tried(trial: Trial, resolved: ResolvedConfig, processor: RecordProcessor, items: Iterator[Item]) -> Trial:
    """Process records until time is up. The first one warms up what later ones reuse, and is not timed."""
    made: list[RecordResult] = []
    started = seconds = 0.0
    for number, item in enumerate(_repeated(items, processor)):
        made.append(processor.process(number, item))
        started = started or perf_counter()
        seconds = perf_counter() - started
        if len(made) == MOST_RECORDS or seconds > TRIAL_SECONDS:
            break
    kept = [result for result in made if result.samples]
    if not kept:
        return trial
    sizes = [sum(map(len, sample.parts.values())) for result in kept for sample in result.samples]
    facts = _facts(trial.splits, resolved, processor, kept)
    return replace(trial, facts=facts, records=len(made) - 1, seconds=seconds, scene_bytes=sum(sizes) / len(sizes))


def _repeated(items: Iterator[Item], processor: RecordProcessor) -> Iterator[Item]:
    """The items, and of a generator more scenes of its first split."""
    first = None
    for item in items:
        first = first or item
        yield item
    if first is not None and not processor.layout:
        for index in range(1, MOST_RECORDS):
            yield replace(first, place=f"{first.split} {index}", payload=index)


def _facts(
    splits: dict[str, int], resolved: ResolvedConfig, processor: RecordProcessor, made: Sequence[RecordResult]
) -> dict[str, Any]:
    info, columns = processor.expected.info, made[0].columns or {}
    height, width = columns["mask"][1]
    entities = info.entities or max(result.entities for result in made)
    unmasked = {result.split for result in made if result.unmasked}
    everywhere = len(unmasked) == len({result.split for result in made})
    factors = {
        name.removeprefix("factors/"): {"dtype": str(np.dtype(dtype)), "shape": list(shape)}
        for name, (dtype, shape) in columns.items()
        if name.startswith("factors/")
    }
    return {
        "info": {**vars(info), "height": height, "width": width, "entities": entities},
        "splits": splits,
        "format": resolved.config.format,
        "factors": factors,
        "unmasked": sorted(splits if everywhere and unmasked else unmasked & splits.keys()),
    }
