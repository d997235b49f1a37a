"""Turn a configuration into a job: the identity of the data set, and the plan that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iodine_kit.artifacts.published_sources import Fetched, fetch, identify, names_hash
from iodine_kit.config import Config, build, named
from iodine_kit.datasets import DATASETS
from iodine_kit.engines import EngineConfig
from iodine_kit.errors import SourceError, StorageError
from iodine_kit.layouts import LAYOUTS, Expected, survey
from iodine_kit.preprocessing import PreprocessConfig
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, Inputs, Job, Tables
from iodine_kit.split_rules import Counts
from iodine_kit.stages.prepare.make import STATE, PreparePlan, make
from iodine_kit.stages.prepare.process_record import RecordProcessor
from iodine_kit.stages.prepare.resolve import ResolvedConfig, configure
from iodine_kit.stages.prepare.source import SourcePlan
from iodine_kit.store import Identity, Store

VERSION = 2
INPUTS: tuple[str, ...] = ()


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Resolve the configuration, download published files if necessary, and identify them by their bytes.

    A script that executes the job with ``prepare.workers`` > 1 must be guarded by ``if __name__ == "__main__"``.
    """
    resolved = configure(tables)
    if resolved.config.generate is not None:
        return _plan_generated(resolved, context)
    locations = resolved.config.source or resolved.dataset.urls(resolved.dataset_config)
    return _plan_published(resolved, fetch(locations, context), context)


def _plan_generated(resolved: ResolvedConfig, context: Context) -> Job:
    prepare_plan = _generated(resolved, context)
    files = _generator_files(resolved.dataset_config)
    for key, path in files.items():
        if not path.is_file():
            raise SourceError(f"{path}: this file, given by dataset.{key}, does not exist")
    fetched = fetch([str(path) for path in files.values()], context)
    sources = identify(context.store, fetched.paths, fetched, context.reporter) if files else ()
    identity = _identity(resolved, prepare_plan, {"seed": resolved.config.seed})
    return _job(identity.model_copy(update={"sources": sources}), prepare_plan, context.reporter)


def _generated(resolved: ResolvedConfig, context: Context) -> PreparePlan:
    """How generated scenes become a data set."""
    preprocess = build(PreprocessConfig, resolved.preprocess, "preprocess")
    return PreparePlan(
        SourcePlan(
            _processor(resolved, "", Config(), preprocess),
            rule=Counts(tuple(resolved.counts.items())),
            generated=resolved.counts,
        ),
        source=f"{resolved.config.dataset}, generated",
        engine=_engine(resolved, context),
        origin={"kind": "generated", "seed": resolved.config.seed},
    )


def planned_config(tables: Tables, layout: str) -> dict[str, Any]:
    """The configuration of the data set that the tables make, without reading its source.

    Args:
        layout: of published files, if the tables do not name one; "" for generated scenes.

    Returns:
        as in the identity, except for the hash ``names``, which a source of many pictures has.

    Raises:
        IodineKitError: as :func:`plan`, for what needs no source.
    """
    resolved = configure(tables)
    silent = Context(Store(Path()))
    name = resolved.config.layout or layout
    if resolved.config.generate is not None or not name:
        prepare_plan = _generated(resolved, silent)
        return _identity(resolved, prepare_plan, {"seed": resolved.config.seed}).config
    nowhere = Fetched((Path(),), ("",), {})
    prepare_plan = _published(resolved, name, nowhere, silent)
    return _identity(resolved, prepare_plan, _published_values(resolved, name)).config


def _plan_published(resolved: ResolvedConfig, fetched: Fetched, context: Context) -> Job:
    name = resolved.config.layout or layout_of(fetched, resolved.config.dataset)
    layout = LAYOUTS.load(name)
    context.reporter.note(f"layout: {name} ({layout.SUMMARY})")
    prepare_plan = _published(resolved, name, fetched, context)
    found = survey(layout, fetched.paths, prepare_plan.records.processor.layout_config)
    for line in found.lines:
        context.reporter.note(line)
    files = found.files
    sources = identify(context.store, files, fetched, context.reporter, found.auxiliary)
    config = _published_values(resolved, name)
    if layout.NAMES_MATTER:
        config["names"] = names_hash(files, fetched)
    versions = {f"layout/{name}": layout.VERSION, **resolved.protocol_version}
    identity = _identity(resolved, prepare_plan, config, versions)
    identity = identity.model_copy(update={"sources": sources, "inputs": fetched.downloads})
    return _job(identity, prepare_plan, context.reporter)


def _published(resolved: ResolvedConfig, name: str, fetched: Fetched, context: Context) -> PreparePlan:
    """How files of the layout ``name`` become a data set."""
    layout = LAYOUTS.load(name)
    layout_config = build(layout.Config, resolved.layout_values, "layout")
    return PreparePlan(
        SourcePlan(
            _processor(resolved, name, layout_config, resolved.preprocessing(layout)),
            rule=resolved.rule(layout),
            paths=fetched.paths,
        ),
        source=", ".join(fetched.locations[:3]),
        max_bad=resolved.execution.max_bad,
        engine=_engine(resolved, context),
        origin={"kind": "published", "layout": name, "protocol": resolved.config.protocol},
        expected=resolved.protocol.expected if resolved.protocol else {},
    )


def _published_values(resolved: ResolvedConfig, name: str) -> dict[str, Any]:
    """The part of the configuration that only published files have."""
    chosen = resolved.config.model_dump(mode="json", include={"protocol", "skip_bad"})
    return {**chosen, "layout": named(name, build(LAYOUTS.load(name).Config, resolved.layout_values, "layout"))}


def _engine(resolved: ResolvedConfig, context: Context) -> EngineConfig:
    """The engine of the command, with as many workers as it or ``prepare.workers`` names."""
    workers = max(resolved.execution.workers, context.engine.workers)
    return context.engine.model_copy(update={"workers": workers})


def layout_of(fetched: Fetched, dataset: str) -> str:
    """The layout of the first path, among those in which the data set was published."""
    third_party = dataset not in DATASETS.built_in()  # no built-in layout can name a third-party data set
    names = [name for name in LAYOUTS.names() if third_party or dataset in (LAYOUTS.load(name).DATASETS or (dataset,))]
    if len(names) == 1:
        return names[0]  # whose error says what is missing
    if found := recognised(fetched.paths[0], names):
        return found
    raise SourceError(
        f"{fetched.locations[0]}: does not look like a published layout of {dataset} ({', '.join(names)}); "
        "select one with --set prepare.layout=NAME to see what is missing"
    )


def recognised(path: Path, names: Sequence[str]) -> str:
    """The first of some layouts that recognises a path; empty if none does.

    Raises:
        StorageError: none does, and the operating system refused to show one of them what is there.
    """
    refused: StorageError | None = None
    for name in names:
        try:
            if LAYOUTS.load(name).recognises(path):
                return name
        except StorageError as error:
            refused = refused or error
    if refused:
        raise refused
    return ""


def _processor(
    resolved: ResolvedConfig, layout: str, layout_config: Config, preprocess: PreprocessConfig
) -> RecordProcessor:
    name, config = resolved.config.dataset, resolved.dataset_config
    return RecordProcessor(
        dataset=name,
        dataset_config=config,
        layout=layout,
        layout_config=layout_config,
        expected=expected_of(name, config, published=bool(layout)),
        preprocess=preprocess,
        format=resolved.config.format,
        format_config=resolved.format_config,
        seed=resolved.config.seed,
        skip_bad=resolved.config.skip_bad,
    )


def expected_of(name: str, config: Config, *, published: bool) -> Expected:
    """The data set that records must be of; ``published`` ones can be those of another known file."""
    plugin = DATASETS.load(name)
    known = DATASETS.built_in() if published else []
    others = {title: fields for other in known for title, fields in DATASETS.load(other).SCHEMAS.items()}
    return Expected(name, plugin.info(config), plugin.fields(config), others, config.model_dump())


def _identity(
    resolved: ResolvedConfig, prepare_plan: PreparePlan, config: dict[str, Any], plugins: dict[str, int] | None = None
) -> Identity:
    dataset, format_name = resolved.config.dataset, resolved.config.format
    # Options of the generator do not change published scenes; a file counts by its bytes, not by its path.
    keys = set(resolved.dataset.PUBLISHED_KEYS) if prepare_plan.records.paths else None
    files = set(_generator_files(resolved.dataset_config))
    options = resolved.dataset_config.model_dump(mode="json", include=keys, exclude=files)
    resolved_values: dict[str, Any] = {
        "dataset": {"name": dataset, **options},
        "format": named(format_name, resolved.format_config),
        "preprocess": prepare_plan.records.processor.preprocess.model_dump(mode="json"),
        "split": prepare_plan.records.rule.describe(),
        "origin": prepare_plan.origin["kind"],
        **config,
    }
    versions = {f"dataset/{dataset}": resolved.dataset.VERSION, f"format/{format_name}": resolved.format.VERSION}
    return Identity(
        kind="dataset",
        name=dataset.rpartition(".")[2].replace("_", "-"),
        stage="prepare",
        version=VERSION,
        plugins={**versions, **(plugins or {})},
        config=resolved_values,
    )


def _generator_files(config: Config) -> dict[str, Path]:
    """The files that a generator reads, by the key of its configuration."""
    return {key: value for key, value in config if isinstance(value, Path)}


def _job(identity: Identity, prepare_plan: PreparePlan, reporter: Reporter) -> Job:
    return Job(identity, lambda out: make(prepare_plan, out, reporter), state=STATE)
