"""From a configuration to a job: what the data set will be, and how it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iodine_kit.artifacts.source import Fetched, fetch, identify, names_hash
from iodine_kit.config import Config, build, named
from iodine_kit.datasets import DATASETS
from iodine_kit.errors import SourceError
from iodine_kit.layouts import LAYOUTS, Expected
from iodine_kit.preprocessing import PreprocessConfig
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, Inputs, Job, Tables
from iodine_kit.split_rules import Counts
from iodine_kit.stages.prepare.journal import NAME as JOURNAL
from iodine_kit.stages.prepare.make import make
from iodine_kit.stages.prepare.prepare_plan import Work
from iodine_kit.stages.prepare.process_record import Recipe
from iodine_kit.stages.prepare.resolve import Choice, choose
from iodine_kit.store import Identity

VERSION = 2
INPUTS: tuple[str, ...] = ()


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Resolve the configuration and identify published files by their bytes, after downloading them if need be."""
    choice = choose(tables)
    if choice.config.generate is not None:
        return _generated(choice, context)
    locations = choice.config.source or choice.dataset.urls(choice.dataset_config)
    fetched = fetch(locations, context)
    return _published(choice, fetched, context)


def _generated(choice: Choice, context: Context) -> Job:
    preprocess = build(PreprocessConfig, choice.preprocess, "preprocess")
    work = Work(
        recipe=_recipe(choice, "", Config(), preprocess),
        rule=Counts(tuple(choice.counts.items())),
        source=f"{choice.config.dataset}, generated",
        generated=choice.counts,
        workers=choice.execution.workers,
        origin={"kind": "generated", "seed": choice.config.seed},
    )
    files = _files_of(choice.dataset_config)
    for key, path in files.items():
        if not path.is_file():
            raise SourceError(f"{path}: no such file; dataset.{key} names it")
    fetched = fetch([str(path) for path in files.values()], context)
    sources = identify(context.store, fetched.paths, fetched, context.reporter) if files else ()
    identity = _identity(choice, work, {"seed": choice.config.seed})
    return _job(identity.model_copy(update={"sources": sources}), work, context.reporter)


def _published(choice: Choice, fetched: Fetched, context: Context) -> Job:
    name = choice.config.layout or _recognise(fetched, choice.config.dataset)
    layout = LAYOUTS.load(name)
    context.reporter.note(f"layout: {name} ({layout.SUMMARY})")
    layout_config = build(layout.Config, choice.layout_values, "layout")
    work = Work(
        recipe=_recipe(choice, name, layout_config, choice.preprocessing(layout)),
        rule=choice.rule(layout),
        source=", ".join(fetched.locations[:3]),
        paths=fetched.paths,
        max_bad=choice.execution.max_bad,
        workers=choice.execution.workers,
        origin={"kind": "published", "layout": name, "protocol": choice.config.protocol},
        expected=choice.protocol.expected if choice.protocol else {},
    )
    files = layout.files(fetched.paths, layout_config)
    sources = identify(context.store, files, fetched, context.reporter)
    chosen = choice.config.model_dump(mode="json", include={"protocol", "skip_bad"})
    config = {**chosen, "layout": named(name, layout_config)}
    if layout.NAMES_MATTER:
        config["names"] = names_hash(files, fetched)
    identity = _identity(choice, work, config, {f"layout/{name}": layout.VERSION, **choice.protocol_version})
    return _job(identity.model_copy(update={"sources": sources, "inputs": fetched.downloads}), work, context.reporter)


def _recognise(fetched: Fetched, dataset: str) -> str:
    """The layout of the first path, among those in which the data set was published."""
    foreign = dataset not in DATASETS.built_in()  # no layout can know the data sets of others
    known = [name for name in LAYOUTS.names() if foreign or dataset in (LAYOUTS.load(name).DATASETS or (dataset,))]
    for name in known:
        if LAYOUTS.load(name).recognises(fetched.paths[0]):
            return name
    raise SourceError(
        f"{fetched.locations[0]}: does not look like a published layout of {dataset}, which are {', '.join(known)}; "
        "choose one with --layout to learn what is missing"
    )


def _recipe(choice: Choice, layout: str, layout_config: Config, preprocess: PreprocessConfig) -> Recipe:
    name, config = choice.config.dataset, choice.dataset_config
    known = DATASETS.built_in() if layout else []
    others = {title: fields for other in known for title, fields in DATASETS.load(other).SCHEMAS.items()}
    fields, options = choice.dataset.fields(config), config.model_dump()
    expected = Expected(name, choice.dataset.info(config), fields, others, options)
    return Recipe(
        dataset=name,
        dataset_config=config,
        layout=layout,
        layout_config=layout_config,
        expected=expected,
        preprocess=preprocess,
        format=choice.config.format,
        format_config=choice.format_config,
        seed=choice.config.seed,
        skip_bad=choice.config.skip_bad,
    )


def _identity(choice: Choice, work: Work, config: dict[str, Any], plugins: dict[str, int] | None = None) -> Identity:
    dataset, format_name = choice.config.dataset, choice.config.format
    # What shapes generated scenes only cannot change published ones; a file counts by its bytes, not by its path.
    keys = set(choice.dataset.PUBLISHED_KEYS) if work.paths else None
    options = choice.dataset_config.model_dump(mode="json", include=keys, exclude=set(_files_of(choice.dataset_config)))
    resolved: dict[str, Any] = {
        "dataset": {"name": dataset, **options},
        "format": named(format_name, choice.format_config),
        "preprocess": work.recipe.preprocess.model_dump(mode="json"),
        "split": work.rule.describe(),
        "origin": work.origin["kind"],
        **config,
    }
    versions = {f"dataset/{dataset}": choice.dataset.VERSION, f"format/{format_name}": choice.format.VERSION}
    name = dataset.rpartition(".")[2].replace("_", "-")
    return Identity(
        kind="dataset", name=name, stage="prepare", version=VERSION, plugins={**versions, **(plugins or {})},
        config=resolved,
    )  # fmt: skip


def _files_of(config: Config) -> dict[str, Path]:
    """The files that a generator reads, by key of its configuration."""
    return {key: value for key, value in config if isinstance(value, Path)}


def _job(identity: Identity, work: Work, reporter: Reporter) -> Job:
    return Job(identity, lambda out: make(work, out, reporter), state=JOURNAL)
